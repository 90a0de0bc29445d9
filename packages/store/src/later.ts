/** The longest that anything which does not repeat is put off or held: a job before its next try, a lease. */
export const longestWaitMs = 3_600_000

/**
 * SQL of the time after which nothing of now ends, by the database's clock. What ends later was written while that clock
 * was ahead. Ten minutes more than the longest, for small corrections.
 */
export const beyondLongest = `clock_timestamp() + ${longestWaitMs + 600_000} * interval '1 millisecond'`

/** SQL of a time so many milliseconds from now, by the database's clock. */
export const later = (parameter: string) => `clock_timestamp() + ${parameter}::float8 * interval '1 millisecond'`
