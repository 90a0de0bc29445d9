import { z } from 'zod'
import { fromByteCharacters } from './byte-level.ts'
import { unsupportedPart } from './tokenizer-errors.ts'

/** Turns tokens into text piece by piece; what it has returned is final. */
export interface DecodeStream {
  /** Text that is certain after these tokens; never half a character. */
  push(tokens: readonly string[]): string
  /** What was held back; an incomplete character becomes U+FFFD. */
  end(): string
}

/** One decoder of a chain: tokens in, tokens out. */
interface Stage {
  push(tokens: readonly string[]): string[]
  end(): string[]
}

const REPLACEMENT_CHARACTER = '\uFFFD'
const MAX_STEPS = 64
const MAX_GROWTH = 64
const configSchema = z.looseObject({ type: z.string() })
const replaceSchema = z.looseObject({ pattern: z.looseObject({ String: z.string() }), content: z.string() })
const stripSchema = z.looseObject({ content: z.string().min(1), start: z.number().max(100), stop: z.literal(0) })
const metaspaceSchema = z.looseObject({
  replacement: z.string().default('▁'),
  prepend_scheme: z.enum(['always', 'never', 'first']).default('always'),
})
const sequenceSchema = z.looseObject({ decoders: z.array(configSchema) })

/**
 * Decoders of tokenizer.json as Python's `tokenizers` has them. Written here because the library's differ on broken
 * bytes and on added tokens, and cannot stream.
 */
const stages: Record<string, (config: unknown) => () => Stage> = {
  ByteLevel: () => byteLevel,
  ByteFallback: () => byteFallback,
  Fuse: () => () => eachToken((token) => token),
  Replace: (config) => {
    const { pattern, content } = replaceSchema.parse(config)
    return () => eachToken((token) => token.replaceAll(pattern.String, content))
  },
  // Applies to the whole text, as in Llama's chain, where `Fuse` goes before it.
  Strip: (config) => {
    const { content, start } = stripSchema.parse(config)
    return () => stripStart(content, start)
  },
  Metaspace: (config) => {
    const { replacement, prepend_scheme } = metaspaceSchema.parse(config)
    return () => {
      let isFirst = prepend_scheme !== 'never'
      return eachToken((token) => {
        const text = token.replaceAll(replacement, isFirst ? '' : ' ')
        isFirst = false
        return text
      })
    }
  },
}

/** A maker of streams for the `decoder` of a tokenizer.json. Errors: `UNSUPPORTED_TOKENIZER`. */
export function createDecoder(config: unknown): () => DecodeStream {
  const parts = config === null || config === undefined ? [] : flatten(configSchema.parse(config))
  checkGrowth(parts)
  const makers = parts.map((part) => {
    if (Object.hasOwn(stages, part.type)) return stages[part.type](part)
    throw unsupportedPart(`decoder ${part.type}`, `${Object.keys(stages).join(', ')}, Sequence`)
  })
  // Without a decoder Python joins the tokens by spaces.
  if (makers.length === 0) makers.push(spaced)
  return () => {
    const chain = makers.map((make) => make())
    return {
      push: (tokens) => chain.reduce<readonly string[]>((input, stage) => stage.push(input), tokens).join(''),
      end: () => chain.reduce<string[]>((held, stage) => [...stage.push(held), ...stage.end()], []).join(''),
    }
  }
}

function flatten(config: z.infer<typeof configSchema>): z.infer<typeof configSchema>[] {
  return config.type === 'Sequence' ? sequenceSchema.parse(config).decoders.flatMap(flatten) : [config]
}

/** A chain of `a` → `aa` doubles a token with each step. */
function checkGrowth(parts: z.infer<typeof configSchema>[]): void {
  const growth = parts
    .filter(({ type }) => type === 'Replace')
    .map((part) => replaceSchema.parse(part))
    .map(({ pattern, content }) => Math.max(1, content.length / Math.max(1, pattern.String.length)))
    .reduce((product, factor) => product * factor, 1)
  if (parts.length > MAX_STEPS || growth > MAX_GROWTH)
    throw new Error(`its decoder has ${parts.length} steps, which make a token up to ${growth} times as long`)
}

function eachToken(map: (token: string) => string): Stage {
  return { push: (tokens) => tokens.map(map), end: () => [] }
}

function spaced(): Stage {
  let isFirst = true
  return eachToken((token) => {
    const text = isFirst ? token : ` ${token}`
    isFirst = false
    return text
  })
}

function byteLevel(): Stage {
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
  return {
    push(tokens) {
      const parts = tokens.map(fromByteCharacters)
      const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
      let at = 0
      for (const part of parts) {
        bytes.set(part, at)
        at += part.length
      }
      return [utf8.decode(bytes, { stream: true })]
    },
    end: () => [utf8.decode()],
  }
}

/** `<0xE2>` tokens in a row are UTF-8 together; when they are not valid, each becomes U+FFFD. */
function byteFallback(): Stage {
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })
  let held: number[] = []
  const flush = () => {
    const bytes = Uint8Array.from(held)
    held = []
    try {
      return utf8.decode(bytes)
    } catch {
      return REPLACEMENT_CHARACTER.repeat(bytes.length)
    }
  }
  return {
    push: (tokens) =>
      tokens.flatMap((token) => {
        const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)
        if (!byte) return held.length > 0 ? [flush(), token] : [token]
        held.push(Number.parseInt(byte[1], 16))
        return []
      }),
    end: () => (held.length > 0 ? [flush()] : []),
  }
}

function stripStart(content: string, count: number): Stage {
  let left = count
  return {
    push(tokens) {
      let text = tokens.join('')
      while (left > 0 && text !== '') {
        if (text.startsWith(content)) {
          text = text.slice(content.length)
          left--
        } else left = 0
      }
      return [text]
    },
    end: () => [],
  }
}
