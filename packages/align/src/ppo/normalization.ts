import type { LanguageModel } from '@plumbline/models'
import type { PpoConfig } from '../config.ts'

/** What makes rewards of scores, (score − mean) / std: from the reward model's config.json, 0 and 1 where it has none. */
export function normalizationOf(
  { rawConfig }: Pick<LanguageModel, 'rawConfig'>,
  { normalize_reward }: Pick<PpoConfig, 'normalize_reward'>,
): { readonly mean: number; readonly std: number } {
  const { mean, std } = rawConfig as { mean?: number; std?: number }
  return normalize_reward && mean !== undefined && std !== undefined ? { mean, std } : { mean: 0, std: 1 }
}
