/** How two series of numbers go together. */
import { PlumblineError } from '@plumbline/contracts'

/** Pearson's correlation, undefined where a series does not vary. Throws INVALID_COUNT unless they pair up. */
export function pearson(x: readonly number[], y: readonly number[]): number | undefined {
  if (x.length !== y.length || x.length === 0)
    throw new PlumblineError('INVALID_COUNT', `correlation: ${x.length} and ${y.length} numbers; they must pair up.`)
  const [a, b] = [centred(x), centred(y)]
  const product = dot(a, b)
  const scale = Math.sqrt(dot(a, a) * dot(b, b))
  return scale > 0 ? Math.min(1, Math.max(-1, product / scale)) : undefined
}

/** Spearman's rank correlation: Pearson's of the ranks, equal numbers sharing the mean of theirs. */
export function spearman(x: readonly number[], y: readonly number[]): number | undefined {
  return pearson(ranks(x), ranks(y))
}

function centred(numbers: readonly number[]): number[] {
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length
  // A series of equal numbers must not vary by the rounding of its mean.
  return numbers.every((number) => number === numbers[0])
    ? numbers.map(() => 0)
    : numbers.map((number) => number - mean)
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, number, i) => sum + number * b[i], 0)
}

function ranks(numbers: readonly number[]): number[] {
  const order = numbers.map((_, i) => i).sort((a, b) => numbers[a] - numbers[b])
  const found = new Array<number>(numbers.length)
  for (let start = 0; start < order.length; ) {
    let end = start
    while (end < order.length && numbers[order[end]] === numbers[order[start]]) end++
    for (const index of order.slice(start, end)) found[index] = (start + 1 + end) / 2
    start = end
  }
  return found
}
