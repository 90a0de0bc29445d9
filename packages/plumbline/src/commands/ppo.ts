import { answerColumns, ppoConfig, promptRowSchema } from '@plumbline/align/config'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { chatTemplateField, modelField } from '../fields-of-models.ts'
import { modelOptions, openModel, openRewardModel } from '../open-model.ts'
import { describeInputs, readRows, runFields, runTraining } from '../run-training.ts'

export const ppo = defineCommand({
  name: 'ppo',
  summary: 'move a model towards what a reward model prefers, near its reference',
  description:
    "The policy answers the prompts, the reward model scores the answers, and the policy learns from the scores while a KL penalty keeps it near the model it was. Metrics have TRL's names.",
  examples: [
    {
      line: 'plumb ppo --model runs/sft/model --reward-model runs/reward/model --data prompts.jsonl --output runs/ppo',
      does: 'PPO from a fine-tuned model',
    },
  ],
  config: z.object({
    model: modelField,
    reward_model: z.string().min(1).describe('the model that scores answers, from plumb reward'),
    ref_model: z.string().min(1).optional().describe('what the KL is measured to; otherwise the model as it starts'),
    data: z.string().min(1).describe('JSON lines with the column "prompt"'),
    ...runFields,
    ...ppoConfig.shape,
    chat_template: chatTemplateField,
  }),
  async run(config, world) {
    const { trainPpo, writeTrainedModel } = await import('@plumbline/align')
    const rows = await readRows(config.data, promptRowSchema, world, { without: answerColumns })
    const models = {
      model: config.model,
      reward_model: config.reward_model,
      ...(config.ref_model !== undefined && { ref_model: config.ref_model }),
    }
    const data = { data: { path: config.data, rows } }
    const inputs = await describeInputs({ models, data, chatTemplate: config.chat_template }, world)
    const folder = await runTraining('ppo', config, inputs, world, async (trainer) => {
      const policy = await openModel(config.model, world, modelOptions(config))
      const rewardModel = await openRewardModel(config.reward_model, world)
      const referenceModel = config.ref_model === undefined ? undefined : await openModel(config.ref_model, world)
      const { trainable } = await trainPpo(config, { policy, rewardModel, referenceModel }, rows, trainer)
      return async (path) => writeTrainedModel(path, policy, await trainable.merged())
    })
    if (world.json) world.emit({ model: folder })
    else world.stdout.write(`${folder}\n`)
  },
})
