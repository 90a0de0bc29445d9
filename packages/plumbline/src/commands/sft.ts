import { sftConfig, sftRowSchema } from '@plumbline/align/config'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { chatTemplateField, modelField } from '../fields-of-models.ts'
import { modelOptions, openModel } from '../open-model.ts'
import { describeInputs, readRows, runFields, runTraining } from '../run-training.ts'

export const sft = defineCommand({
  name: 'sft',
  summary: 'supervised fine-tuning on demonstrations',
  description:
    'Rows have "messages" (the assistant\'s turns are learned), "prompt" and "completion" (the completion is learned), or "text"; "weight" says how much a row counts, 1 otherwise. Rows are batched without padding.',
  examples: [
    { line: 'plumb sft --data demonstrations.jsonl --output runs/sft', does: 'fine-tune the default model' },
    { line: 'plumb sft --data demonstrations.jsonl --output runs/sft --resume', does: 'go on after an interruption' },
  ],
  config: z.object({
    model: modelField,
    data: z.string().min(1).describe('JSON lines with demonstrations'),
    eval_data: z.string().optional().describe('JSON lines of the same kind, to measure on'),
    ...runFields,
    ...sftConfig.shape,
    chat_template: chatTemplateField,
  }),
  async run(config, world) {
    const { checkBestIsMeasured, trainSft, writeTrainedModel } = await import('@plumbline/align')
    checkBestIsMeasured(config, config.eval_data !== undefined, 'Give --eval-data.')
    const train = await readRows(config.data, sftRowSchema, world)
    const evaluation =
      config.eval_data === undefined ? undefined : await readRows(config.eval_data, sftRowSchema, world)
    const data = { data: { path: config.data, rows: train }, eval_data: { path: config.eval_data, rows: evaluation } }
    const models = { model: config.model }
    const inputs = await describeInputs({ models, data, chatTemplate: config.chat_template }, world)
    const folder = await runTraining('sft', config, inputs, world, async (trainer) => {
      const model = await openModel(config.model, world, modelOptions(config))
      const { trainable } = await trainSft(config, model, { train, ...(evaluation && { evaluation }) }, trainer)
      return async (path) => writeTrainedModel(path, model, await trainable.merged())
    })
    if (world.json) world.emit({ model: folder })
    else world.stdout.write(`${folder}\n`)
  },
})
