import { rewardConfig, rewardRowSchema } from '@plumbline/align/config'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { chatTemplateField, modelField } from '../fields-of-models.ts'
import { dataName } from '../json-lines.ts'
import { modelOptions, openModel } from '../open-model.ts'
import { describeInputs, readRows, runFields, runTraining } from '../run-training.ts'

export const reward = defineCommand({
  name: 'reward',
  summary: 'train a reward model on preference pairs, or on scores',
  description:
    'Rows have "prompt", "chosen" and "rejected" (and maybe "margin"), or all of them "prompt", "completion" and "score", a number. The model that comes out is a …ForSequenceClassification with one label, for plumb ppo and plumb score --reward-model; as --model, such a one is trained further. What it is worth on held-out rows, calibration included, is in evaluation.json beside it; samples.jsonl has the first held-out answers with their rewards, as often as they are measured.',
  examples: [
    { line: 'plumb reward --data preferences.jsonl --output runs/reward', does: 'train on pairs, a tenth held out' },
    { line: 'plumb reward --data scored.jsonl --output runs/reward', does: 'learn the scores of answers' },
  ],
  config: z.object({
    model: modelField,
    data: z.string().min(1).describe('JSON lines with pairs, or with scored answers'),
    eval_data: z.string().optional().describe('rows of the same kind to measure on, instead of a part of the data'),
    ...runFields,
    ...rewardConfig.shape,
    chat_template: chatTemplateField,
  }),
  async run(config, world) {
    const { rewardKind, trainReward, writeRewardModel } = await import('@plumbline/align')
    const train = await readRows(config.data, rewardRowSchema, world)
    const evaluation =
      config.eval_data === undefined ? undefined : await readRows(config.eval_data, rewardRowSchema, world)
    // Before a run folder is made.
    rewardKind(train, dataName(config.data))
    const data = { data: { path: config.data, rows: train }, eval_data: { path: config.eval_data, rows: evaluation } }
    const models = { model: config.model }
    const inputs = await describeInputs({ models, data, chatTemplate: config.chat_template }, world)
    const folder = await runTraining('reward', config, inputs, world, async (trainer) => {
      const model = await openModel(config.model, world, modelOptions(config))
      const result = await trainReward(config, model, { train, ...(evaluation && { evaluation }) }, trainer)
      return (path) => writeRewardModel(path, model, result)
    })
    if (world.json) world.emit({ model: folder })
    else world.stdout.write(`${folder}\n`)
  },
})
