import type { CompileOptions, ParameterMap } from '@plumbline/engine'
import type { ModelConfig } from './config.ts'
import { createDecoder, type Decoder } from './decoder.ts'

/** A decoder for sequences one after the other, compiled anew only when one outgrows it. */
export interface GrowingDecoder {
  /** A decoder of one slot and at least `length` positions. The one given before is not to be used any more. */
  forLength(length: number): Promise<Decoder>
  dispose(): Promise<void>
}

/** Room for a few turns of a conversation: compiling costs about a second, a position a few dozen kilobytes. */
const LEAST_LENGTH = 1024

/** Nothing is compiled before the first use. `length` must not exceed the model's positions. */
export function createGrowingDecoder(
  config: ModelConfig,
  parameters: ParameterMap,
  { threads }: Pick<CompileOptions, 'threads'> = {},
): GrowingDecoder {
  let decoder: Decoder | undefined
  const dispose = async () => {
    const last = decoder
    decoder = undefined
    await last?.dispose()
  }
  return {
    async forLength(length) {
      if (decoder !== undefined && decoder.length >= length) return decoder
      // First the old one: two copies of the weights may not fit.
      await dispose()
      const roomy = Math.min(config.maxPositions, Math.max(LEAST_LENGTH, 2 * length))
      decoder = await createDecoder(config, parameters, { slots: 1, length: roomy, threads })
      return decoder
    },
    dispose,
  }
}
