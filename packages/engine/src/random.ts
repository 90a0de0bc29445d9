/**
 * Random numbers that can be saved and resumed: xoshiro128** (Blackman & Vigna 2018, prng.di.unimi.it), period
 * 2^128 − 1, its state four uint32s. Not for secrets.
 */
import { PlumblineError } from '@plumbline/contracts'

/** The whole state: plain numbers, so JSON keeps it. */
export type RandomState = readonly [number, number, number, number]

export interface Random {
  /** Uniform over 0 … 2^32 − 1. */
  uint32(): number
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number
  /** Standard normal (Box & Muller 1958); two uniforms each, none kept, so `state` is all there is. */
  normal(): number
  /** Uniform over 0 … n − 1, without modulo bias; n up to 2^32. */
  integer(n: number): number
  /** What `createRandom` needs to go on from here. */
  readonly state: RandomState
  /** A generator for one use, set by the state now and the label; this one does not advance. */
  fork(label: string): Random
}

const TWO_32 = 2 ** 32

/** A generator from a seed (an integer, 0 … 2^53 − 1) or from a saved state. */
export function createRandom(seed: number | RandomState): Random {
  let [a, b, c, d] = typeof seed === 'number' ? stateFromSeed(seed) : checkedState(seed)

  const uint32 = () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotateLeft(d, 11)
    return result
  }
  const uniform = () => ((uint32() >>> 5) * 2 ** 26 + (uint32() >>> 6)) / 2 ** 53
  const state = (): RandomState => [a >>> 0, b >>> 0, c >>> 0, d >>> 0]

  return {
    uint32,
    uniform,
    // 1 − u is in (0, 1], where the logarithm is finite.
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    integer(n) {
      if (!Number.isInteger(n) || n < 1 || n > TWO_32)
        throw new PlumblineError('BAD_VALUE', `random integer below ${n}: it must be an integer from 1 to 2^32.`)
      const limit = TWO_32 - (TWO_32 % n)
      let value = uint32()
      while (value >= limit) value = uint32()
      return value % n
    },
    get state() {
      return state()
    },
    fork: (label) => createRandom(stateFromWords([...state(), ...new TextEncoder().encode(label)])),
  }
}

function rotateLeft(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits))
}

function stateFromSeed(seed: number): RandomState {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new PlumblineError('BAD_VALUE', `seed ${seed}: it must be an integer from 0 to 2^53 − 1.`)
  return stateFromWords([seed >>> 0, Math.floor(seed / TWO_32)])
}

function checkedState(state: RandomState): RandomState {
  const isValid = state.length === 4 && state.every((word) => word === word >>> 0) && state.some((word) => word !== 0)
  if (!isValid)
    throw new PlumblineError('BAD_VALUE', `state of random numbers [${state}]: it must be four uint32s, not all 0.`)
  return state
}

/** Four words that all depend on every input word; murmur3's finaliser (Appleby 2011) does the mixing. */
function stateFromWords(words: readonly number[]): RandomState {
  const hash = (start: number) =>
    words.reduce((mixed, word) => mix(Math.imul(mixed, 0x9e3779b1) + word), mix(start + words.length))
  const state: RandomState = [hash(1), hash(2), hash(3), hash(4)]
  return state.some((word) => word !== 0) ? state : [1, 2, 3, 4]
}

function mix(word: number): number {
  let x = word | 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}
