import type { GuardSet, LabelledText, MeasuredGuard } from '@plumbline/gateway'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { readGuardsFile } from '../guards-file.ts'
import { readJsonLines } from '../json-lines.ts'
import { rewardModelField, startReward } from '../reward-model.ts'
import type { World } from '../world.ts'

const row = z.object({
  prompt: z.string().default(''),
  text: z.string(),
  label: z.union([z.boolean(), z.literal(0), z.literal(1)]),
})

export const guardsTest = defineCommand({
  name: 'guards test',
  summary: 'how often guards are right on texts that people labelled',
  description:
    'Each guard looks at each text by itself, whatever its mode. Sensitivity: bad texts found. Specificity: good texts let through. Both with 95 % intervals (Wilson); the counts go into the guard’s "calibration".',
  examples: [
    { line: 'plumb guards test --guards guards.yaml --data rows.jsonl', does: 'a line for each guard' },
    { line: 'plumb guards test --guards guards.yaml --data rows.jsonl --json', does: 'the counts for a program' },
  ],
  config: z.object({
    guards: z.string().min(1).describe('YAML file of guards'),
    reward_model: rewardModelField,
    data: z
      .string()
      .describe('JSON lines with "text", "label" (true: should be found) and, for answers, "prompt"; - for stdin'),
  }),
  async run(config, world) {
    const texts: LabelledText[] = []
    for await (const { row: value } of readJsonLines(config.data, row, world)) {
      texts.push({ prompt: value.prompt, text: value.text, isBad: Boolean(value.label) })
    }
    const rewardModel = await startReward(config.reward_model, world)
    try {
      const { guards } = await readGuardsFile(config.guards, world, rewardModel)
      await measure(guards, texts, world)
    } finally {
      await rewardModel?.stop()
    }
  },
})

async function measure(guards: GuardSet['guards'], texts: readonly LabelledText[], world: World): Promise<void> {
  const { measureGuards } = await import('@plumbline/gateway')
  const progress = world.progress('guards', texts.length, { unit: 'rows' })
  const measured = await measureGuards(guards, texts, (done) => {
    world.signal.throwIfAborted()
    progress.set(done)
  })
  progress.end()
  for (const guard of measured) {
    if (world.json) world.emit(guard)
    else world.stdout.write(`${describe(guard)}\n`)
  }
}

function describe({ name, version, sensitivity, specificity, errors }: MeasuredGuard): string {
  const share = (rate: MeasuredGuard['sensitivity']) =>
    rate === null
      ? 'no such text'
      : `${rate.hits} of ${rate.n}, ${rate.estimate.toFixed(3)} (${rate.low.toFixed(3)}–${rate.high.toFixed(3)})`
  return `${name} ${version}: bad found ${share(sensitivity)}; good passed ${share(specificity)}; errors ${errors}`
}
