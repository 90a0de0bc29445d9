import { PlumblineError } from '@plumbline/contracts'
import type { Application, Tensor } from './graph.ts'
import { add } from './ops/elementwise.ts'
import { scatterAddRows } from './ops/indexing.ts'
import { formatShape, sameShape } from './shape.ts'

/**
 * Reverse-mode gradients of a scalar by the tensors asked for, as new tensors of the same graph; undefined where the
 * scalar does not depend on a tensor.
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): (Tensor | undefined)[] {
  if (loss.shape.length !== 0)
    throw new PlumblineError(
      'SHAPE_MISMATCH',
      `gradients of a tensor of shape ${formatShape(loss.shape)}: not a scalar.`,
    )
  const applications = sortedApplications([loss])
  const needed = new Set<Tensor>(wrt)
  for (const { op, inputs, outputs } of applications)
    if (op.gradient && inputs.some((input) => needed.has(input))) for (const output of outputs) needed.add(output)

  const contributions = new Map<Tensor, Tensor[]>([[loss, [loss.graph.constant(1)]]])
  for (const application of applications.reverse()) {
    const [value, ...saved] = application.outputs
    refuseSaved(application, saved, contributions)
    const parts = contributions.get(value)
    if (!parts || !needed.has(value) || !application.op.gradient) continue
    const outputGradient = total(parts)
    contributions.set(value, [outputGradient])
    addContributions(application, outputGradient, needed, contributions)
  }
  return wrt.map((tensor) => {
    const parts = contributions.get(tensor)
    return parts && total(parts)
  })
}

/** What a lowering saved for the gradient has none itself: a second derivative through it would be silently wrong. */
function refuseSaved(
  { op }: Application,
  saved: readonly Tensor[],
  contributions: ReadonlyMap<Tensor, readonly Tensor[]>,
): void {
  if (saved.some((tensor) => contributions.has(tensor)))
    throw new PlumblineError('GRADIENT_MISSING', `${op.name} has no second derivative.`, {
      hint: 'Write it with elementary ops where a gradient is differentiated again.',
    })
}

function addContributions(
  { op, inputs, attributes, outputs }: Application,
  outputGradient: Tensor,
  needed: ReadonlySet<Tensor>,
  contributions: Map<Tensor, Tensor[]>,
): void {
  const needs = (i: number) => inputs[i] !== undefined && needed.has(inputs[i])
  const results = op.gradient!({ inputs, attributes, outputs, outputGradient, needs })
  results.forEach((gradient, i) => {
    if (!gradient || !needs(i)) return
    const input = inputs[i]
    if (!sameShape(gradient.shape, input.shape))
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `${op.name}: the gradient of input ${i} is ${formatShape(gradient.shape)}, the input ${formatShape(input.shape)}.`,
      )
    contributions.set(input, [...(contributions.get(input) ?? []), gradient])
  })
}

/**
 * Sum of the parts. A row scatter is added into the sum of the others instead of into zeros: with a tied head the
 * embedding's gradient would otherwise cost two more passes over the largest matrix of the model.
 */
function total(parts: readonly Tensor[]): Tensor {
  const isScatter = ({ producer }: Tensor) => producer?.op === scatterAddRows.definition && producer.inputs.length === 2
  const dense = parts.filter((part) => !isScatter(part))
  const scatters = parts.filter(isScatter)
  if (dense.length === 0) return scatters.reduce((sum, part) => add(sum, part))
  const denseSum = dense.reduce((sum, part) => add(sum, part))
  return scatters.reduce((sum, { producer }) => {
    const [ids, updates] = producer!.inputs
    return scatterAddRows(ids, updates, sum, producer!.attributes as { rows: number })
  }, denseSum)
}

/** The applications that `outputs` need, each after those it depends on. */
export function sortedApplications(outputs: readonly Tensor[]): Application[] {
  const sorted: Application[] = []
  const seen = new Set<Application>()
  // An explicit stack: a deep model would overflow the call stack.
  const stack = outputs
    .toReversed()
    .flatMap(({ producer }) => (producer ? [{ application: producer, isReady: false }] : []))
  while (stack.length > 0) {
    const { application, isReady } = stack.pop()!
    if (isReady) {
      sorted.push(application)
      continue
    }
    if (seen.has(application)) continue
    seen.add(application)
    stack.push({ application, isReady: true })
    for (const { producer } of application.inputs.toReversed())
      if (producer && !seen.has(producer)) stack.push({ application: producer, isReady: false })
  }
  return sorted
}
