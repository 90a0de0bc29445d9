import { preferenceRowSchema, rewardConfig } from '@plumbline/align/config'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { chatTemplateField, modelField } from '../fields-of-models.ts'
import { modelOptions, openModel } from '../open-model.ts'
import { readRows, runFields, runTraining } from '../run-training.ts'

export const reward = defineCommand({
  name: 'reward',
  summary: 'train a reward model on preference pairs',
  description:
    'Rows have "prompt", "chosen" and "rejected" (and maybe "margin"). The model that comes out is a …ForSequenceClassification with one label, for plumb ppo and plumb score --reward-model.',
  examples: [
    { line: 'plumb reward --data preferences.jsonl --output runs/reward', does: 'train on pairs, a tenth held out' },
  ],
  config: z.object({
    model: modelField,
    data: z.string().min(1).describe('JSON lines with pairs'),
    eval_data: z.string().optional().describe('pairs to measure on, instead of a part of the data'),
    ...runFields,
    ...rewardConfig.shape,
    chat_template: chatTemplateField,
  }),
  async run(config, world) {
    const { rewardModelConfig, trainReward, writeTrainedModel } = await import('@plumbline/align')
    const train = await readRows(config.data, preferenceRowSchema, world)
    const evaluation =
      config.eval_data === undefined ? undefined : await readRows(config.eval_data, preferenceRowSchema, world)
    const folder = await runTraining('reward', config, world, async (trainer) => {
      const model = await openModel(config.model, world, modelOptions(config))
      const result = await trainReward(config, model, { train, ...(evaluation && { evaluation }) }, trainer)
      return (path) => writeTrainedModel(path, model, result.parameters, rewardModelConfig(model.rawConfig, result))
    })
    if (world.json) world.emit({ model: folder })
    else world.stdout.write(`${folder}\n`)
  },
})
