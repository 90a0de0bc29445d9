/** The log-probability of given tokens: where every language-model loss begins. */
import { PlumblineError } from '@plumbline/contracts'
import { defineOp, type Op, type Tensor } from '../graph.ts'
import { formatShape, sameShape } from '../shape.ts'
import { exp, mul, neg } from './elementwise.ts'
import { addLast, lastAxis } from './indexing.ts'
import { reshape } from './layout.ts'

/**
 * log softmax(logits) at ids: logits [..., V], ids [...] → [...]. One op and not `pick` of `logSoftmax`, since the
 * scores are the largest tensor of a step: the gradient, onehot − p, is built in one buffer. Saves log softmax.
 */
export const tokenLogprobs: Op<[logits: Tensor, ids: Tensor]> = defineOp({
  name: 'tokenLogprobs',
  infer: ([logits, ids]) => {
    if (!sameShape(logits.shape.slice(0, -1), ids.shape))
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `tokenLogprobs: ${formatShape(ids.shape)} does not index ${formatShape(logits.shape)}.`,
      )
    return [
      { type: logits.type, shape: ids.shape },
      { type: logits.type, shape: logits.shape },
    ]
  },
  lower: (emit, [logits, ids]) => {
    // Written as `logSoftmax` is: ONNX Runtime computes it once where a metric reads it too.
    const all = emit.node('LogSoftmax', [logits], { axis: -1 })
    const picked = emit.node('GatherElements', [all, lastAxis(emit, ids)], { axis: -1 })
    return [emit.node('Squeeze', [picked, emit.ints([-1])]), all]
  },
  gradient: ({ inputs: [, ids], outputs: [, all], outputGradient: dy }) => {
    const share = reshape(neg(dy), { shape: [...dy.shape, 1] })
    return [addLast(mul(exp(all), share), ids, dy)]
  },
})
