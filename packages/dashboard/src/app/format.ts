const whole = new Intl.NumberFormat('en')
const stamp = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })
const dayOnly = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' })

export const formatCount = (value: number) => whole.format(value)

/** 0.0234 → 2.34 %; small shares keep two digits that say something. */
export function formatShare(value: number): string {
  const percent = value * 100
  const digits = Math.abs(percent) >= 10 ? 1 : 2
  return `${percent.toFixed(digits)} %`
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
