/** How far something is. Commands call it as often as they like; what is drawn is limited here. */
export interface Progress {
  /** `done` of `total` units are finished. */
  set(done: number): void
  advance(by?: number): void
  /** Draws the last state and ends the line. */
  end(): void
}

/** A bar that shares its terminal with other lines. */
export interface Drawing extends Progress {
  /** Takes the bar off the terminal's line, for something else to be written there. */
  clear(): void
  /** Puts it back where `clear` took one away. */
  redraw(): void
}

export interface ProgressOptions {
  /** `bytes` are shown as MB. */
  readonly unit: 'bytes' | 'rows' | 'answers' | 'tokens' | 'steps' | 'days'
  /** What an earlier process did of it: rate and remaining time are those of the work that is done here. */
  readonly from?: number
}

/** Where a progress is drawn. `write` gets whole lines, or on a terminal `\r…` and no line end. */
export interface ProgressTarget {
  readonly isTerminal: boolean
  readonly columns: number
  readonly now: () => number
  write(text: string): void
}

const redrawMs = 100
const lineMs = 5000
const calmMs = 1000
const barCells = 24
const clearLine = '\r\u001b[K'

/**
 * A bar with rate and remaining time on a terminal; elsewhere a plain line at once, then at each 10 % (at most one a
 * second) or after 5 s. Our own, as the well-known libraries have had no release for years and draw nothing off a
 * terminal.
 */
export function createProgress(
  title: string,
  total: number | undefined,
  { unit, from = 0 }: ProgressOptions,
  target: ProgressTarget,
): Drawing {
  const start = target.now()
  let done = from
  let drawnAt = start
  let drawnDone = from
  let hasEnded = false
  let isShown = false
  // Some terminals say that they are 0 columns wide.
  const width = Math.max(20, (target.columns || 80) - 1)
  const draw = () => {
    drawnAt = target.now()
    drawnDone = done
    const rate = done > from && drawnAt > start ? ((done - from) * 1000) / (drawnAt - start) : undefined
    const facts = describe(done, total, rate, unit)
    if (!target.isTerminal) target.write(`${title}: ${facts}\n`)
    else target.write(`${clearLine}${`${title} ${bar(done, total)} ${facts}`.slice(0, width)}`)
    isShown = target.isTerminal
  }
  const isDue = () => {
    const elapsed = target.now() - drawnAt
    if (target.isTerminal) return elapsed >= redrawMs
    const grown = total === undefined ? 0 : (done - drawnDone) / total
    return elapsed >= lineMs || (elapsed >= calmMs && grown >= 0.1)
  }
  const set = (next: number) => {
    done = next
    if (!hasEnded && isDue()) draw()
  }
  draw()
  return {
    set,
    advance: (by = 1) => set(done + by),
    end: () => {
      if (hasEnded) return
      hasEnded = true
      // Off a terminal the last state may have its line already.
      if (target.isTerminal || drawnDone !== done) draw()
      if (target.isTerminal) target.write('\n')
      isShown = false
    },
    clear: () => {
      if (isShown) target.write(clearLine)
    },
    redraw: () => {
      if (isShown) draw()
    },
  }
}

function bar(done: number, total: number | undefined): string {
  if (total === undefined || total <= 0) return ''
  const filled = Math.round(Math.min(1, done / total) * barCells)
  return '█'.repeat(filled) + '░'.repeat(barCells - filled)
}

/** `45 % (12.3 of 27.1 MB), 3.1 MB/s, 0:05 left`; `rate` is by the second, where there is one yet. */
function describe(
  done: number,
  total: number | undefined,
  rate: number | undefined,
  unit: ProgressOptions['unit'],
): string {
  const amount = (value: number) => (unit === 'bytes' ? (value / 1e6).toFixed(1) : String(round(value)))
  const label = unit === 'bytes' ? 'MB' : unit
  const parts = [
    total === undefined || total <= 0
      ? `${amount(done)} ${label}`
      : `${Math.floor((done / total) * 100)} % (${amount(done)} of ${amount(total)} ${label})`,
  ]
  if (rate !== undefined) parts.push(speed(unit === 'bytes' ? rate / 1e6 : rate, label))
  if (total !== undefined && rate !== undefined && done < total) parts.push(`${clock((total - done) / rate)} left`)
  return parts.join(', ')
}

/** `3.1 steps/s`, and what takes longer than a second as `23.4 s/step`. */
function speed(rate: number, label: string): string {
  return rate >= 1 ? `${round(rate)} ${label}/s` : `${round(1 / rate)} s/${label.replace(/s$/, '')}`
}

const round = (value: number) => Math.round(value * 10) / 10

function clock(seconds: number): string {
  const whole = Math.ceil(seconds)
  const two = (value: number) => String(value).padStart(2, '0')
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor(whole / 60) % 60
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}
