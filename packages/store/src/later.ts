/** SQL of a time so many milliseconds from now, by the database's clock. */
export const later = (parameter: string) => `clock_timestamp() + ${parameter}::float8 * interval '1 millisecond'`
