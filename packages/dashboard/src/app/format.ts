const whole = new Intl.NumberFormat('en')
const stamp = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })
const dayOnly = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' })

export const formatCount = (value: number) => whole.format(value)

/** 0.0234 → 2.34 %; small shares keep two digits that say something. */
export function formatShare(value: number): string {
  const percent = value * 100
  // From where two digits would be rounded to 10.00.
  const digits = Math.abs(percent) >= 9.995 ? 1 : 2
  return `${percent.toFixed(digits)} %`
}

/** A share with its interval. */
export function formatBand(share: { value: number; low: number; high: number } | null): string {
  if (share === null) return 'no data'
  return `${formatShare(share.value)} (${formatShare(share.low)} to ${formatShare(share.high)})`
}

/** In the reader's own time zone. */
export const formatTime = (iso: string) => stamp.format(new Date(iso))

export const formatDay = (iso: string) => dayOnly.format(new Date(iso))

export function formatMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`
  return `${Math.round(ms / 60_000)} min`
}

/** One line of a text, for lists. */
export function shorten(text: string, most = 160): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length <= most ? line : `${line.slice(0, most - 1)}…`
}

export function formatP(p: number | null): string {
  if (p === null) return 'p unknown'
  return p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`
}

/** About three digits that say something: 1234.5 → "1,235", 0.01234 → "0.0123". */
export function formatNumber(value: number): string {
  const size = Math.abs(value)
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toExponential(1).replace('e+', 'e')
  if (size >= 1000) return whole.format(Math.round(value))
  return String(Number(value.toPrecision(3)))
}

export function formatSeconds(seconds: number): string {
  const rounded = Math.round(seconds)
  if (rounded < 60) return `${rounded} s`
  if (rounded < 3600) return `${Math.floor(rounded / 60)} min ${rounded % 60} s`
  return `${Math.floor(rounded / 3600)} h ${Math.floor((rounded % 3600) / 60)} min`
}
