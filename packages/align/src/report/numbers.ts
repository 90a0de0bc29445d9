import type { Estimate } from '@plumbline/contracts'

const minus = '\u2212'
const space = '\u202f' // narrow, and never broken over a line

const joiner = '\u2060' // no line ends at the dash of a range

const withMinus = (text: string) => text.replace('-', minus)

/** Digits after the point in percent: one where it says something, none in the middle. */
function percentDigits(value: number): string {
  const percent = Math.abs(value) * 100
  const isNearEdge = percent < 9.95 || (percent > 99 && percent < 100)
  const text = percent.toFixed(isNearEdge ? 1 : 0).replace(/\.0$/, '')
  // 0.04 % is not 0 %, and 99.98 % is not 100 %.
  if (text === '0' && percent > 1e-9) return '<0.1'
  if (text === '100' && percent < 100 - 1e-9) return '>99.9'
  return value < 0 && text !== '0' ? minus + text : text
}

/** A share as percent: 0.934 → "93 %". */
export const percent = (value: number) => `${percentDigits(value)}${space}%`

/** The interval of a share: "8–17 %". */
export const percentRange = ({ low, high }: Estimate) =>
  `${percentDigits(low)}–${joiner}${percentDigits(high)}${space}%`

function signedPoints(value: number): string {
  const points = Math.abs(value) * 100
  const text = points.toFixed(points < 9.95 ? 1 : 0).replace(/\.0$/, '')
  if (text === '0') return '0'
  return `${value < 0 ? minus : '+'}${text}`
}

/** A difference of shares in percentage points, signed: −0.81 → "−81". */
export const points = signedPoints

/** The interval of a difference: "−88 to −73 points". */
export const pointsRange = ({ low, high }: Estimate) => `${signedPoints(low)} to ${signedPoints(high)} points`

/** About three significant digits, with no more than a reader can use: 1234.5 → "1,235", 0.01234 → "0.0123". */
export function shortNumber(value: number): string {
  const size = Math.abs(value)
  if (!Number.isFinite(value)) return '–'
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return withMinus(value.toExponential(1).replace('e+', 'e'))
  if (size >= 1000) return withMinus(value.toLocaleString('en-US', { maximumFractionDigits: 0 }))
  if (size >= 100) return withMinus(value.toFixed(0))
  if (size >= 10) return withMinus(value.toFixed(1))
  if (size >= 1) return withMinus(value.toFixed(2))
  return withMinus(String(Number(value.toPrecision(3))))
}

/** A p value as it is usually written: 0.2187 → "0.22". */
export const pValue = (p: number) => (p < 0.001 ? '<0.001' : p.toFixed(p < 0.1 ? 3 : 2))

/** Seconds as "48 s", "3 min 05 s", "1 h 12 min". */
export function duration(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${seconds < 9.95 ? Number(seconds.toFixed(1)) : whole}${space}s`
  const two = (value: number) => String(value).padStart(2, '0')
  if (whole < 3600) return `${Math.floor(whole / 60)}${space}min ${two(whole % 60)}${space}s`
  const minutes = Math.round(whole / 60)
  return `${Math.floor(minutes / 60)}${space}h ${two(minutes % 60)}${space}min`
}

export const wholeNumber = (value: number) => value.toLocaleString('en-US')
