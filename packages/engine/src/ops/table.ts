/** The op table: every op there is. A row is the op itself, with its shape rule, lowering and gradient. */
import type { OpDefinition } from '../graph.ts'
import { cachedAttention, rope } from './attention.ts'
import { dropout } from './dropout.ts'
import {
  add,
  div,
  exp,
  geluTanh,
  greater,
  log,
  maximum,
  minimum,
  mul,
  neg,
  sigmoid,
  silu,
  softplus,
  sqrt,
  stopGradient,
  sub,
  tanh,
} from './elementwise.ts'
import { addLast, argmax, embedding, pick, placeLast, scatterAddRows } from './indexing.ts'
import { concat, expand, pad, reshape, slice, sum, transpose } from './layout.ts'
import { matmul, matmulAdd } from './matmul.ts'
import { layerNorm, logSoftmax, logSumExp, rmsNorm, softmax } from './normalization.ts'
import { padRows, spreadRows, unpadRows } from './ragged.ts'
import { tokenLogprobs } from './token-logprobs.ts'

export const ops = {
  add,
  argmax,
  cachedAttention,
  concat,
  div,
  dropout,
  embedding,
  padRows,
  spreadRows,
  unpadRows,
  exp,
  expand,
  geluTanh,
  greater,
  layerNorm,
  log,
  logSoftmax,
  logSumExp,
  matmul,
  matmulAdd,
  maximum,
  minimum,
  mul,
  neg,
  pad,
  pick,
  placeLast,
  addLast,
  tokenLogprobs,
  reshape,
  rmsNorm,
  rope,
  scatterAddRows,
  sigmoid,
  silu,
  slice,
  softmax,
  softplus,
  sqrt,
  stopGradient,
  sub,
  sum,
  tanh,
  transpose,
} satisfies Record<string, { readonly definition: OpDefinition<never> }>
