import type { ParameterMap } from '@plumbline/engine'
import { type LanguageModel, saveModelFolder } from '@plumbline/models'

/** Writes a trained model with the tokenizer of the one that it came from, over an earlier, killed attempt. */
export async function writeTrainedModel(
  folder: string,
  model: LanguageModel,
  parameters: ParameterMap,
  rawConfig = model.rawConfig,
): Promise<void> {
  const { tokenizerJson, tokenizerConfig } = model.tokenizer
  const { generationConfig } = model
  await saveModelFolder(
    folder,
    { config: rawConfig, parameters, tokenizerJson, tokenizerConfig, ...(generationConfig && { generationConfig }) },
    { overwrite: true },
  )
}
