import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type EvaluationItem, type Evaluator, evaluate, evaluators } from '@plumbline/evals'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { rootFolder } from '../paths.ts'

const figure: Figure = {
  name: 'evaluate_answer',
  title: 'one answer by all evaluators that need no language model, median',
  unit: 'ms',
  better: 'lower',
  goal: { atMost: 5 },
}

const dataFile = join(rootFolder, '../shared/data/grading/xstest-completions.jsonl.gz')
const maxAnswers = 500
const rounds = 3

/** Every evaluator on every answer, each with all that it may need; the first round is not counted. */
export const evaluation: Section<unknown> = {
  figures: [figure],
  run: async (_, record) => {
    const items = readItems()
    const medians: number[] = []
    let times: number[] = []
    let cpu = process.cpuUsage()
    for (let round = 0; round <= rounds; round++) {
      times = []
      cpu = process.cpuUsage()
      for (const item of items) {
        const start = performance.now()
        for (const evaluator of Object.values<Evaluator>(evaluators)) await evaluate(evaluator, item)
        times.push(performance.now() - start)
      }
      cpu = process.cpuUsage(cpu)
      times.sort((a, b) => a - b)
      if (round > 0) medians.push(times[Math.floor(times.length / 2)])
    }
    const p99 = times[Math.floor(times.length * 0.99)]
    const characters = items.map(({ completion }) => completion.length).sort((a, b) => a - b)
    record(figure, {
      ours: medians,
      details: {
        answers: items.length,
        evaluators: Object.keys(evaluators).length,
        median_characters: characters[Math.floor(characters.length / 2)],
        // Of the last round: on a busy machine the clock runs while others compute.
        mean_cpu_ms: Number(((cpu.user + cpu.system) / 1000 / items.length).toPrecision(3)),
        p99_ms: Number(p99.toPrecision(3)),
        source: existsSync(dataFile) ? 'xstest-completions' : 'generated',
      },
    })
  },
}

function readItems(): EvaluationItem[] {
  const answers = existsSync(dataFile) ? realAnswers() : generatedAnswers()
  return answers.map(({ prompt, completion }, i) => ({
    prompt,
    completion,
    context: answers[(i + 1) % answers.length].completion,
    facts: [{ about: 'capital of Australia', value: 'Canberra' }],
    answers: ['Canberra'],
    promptIsHarmful: false,
  }))
}

function realAnswers(): EvaluationItem[] {
  const lines = gunzipSync(readFileSync(dataFile)).toString().trim().split('\n')
  const step = Math.max(1, Math.floor(lines.length / maxAnswers))
  return lines.flatMap((line, i) => (i % step === 0 ? [JSON.parse(line) as EvaluationItem] : [])).slice(0, maxAnswers)
}

/** Sentences of about 1,200 characters where the data is not at hand. */
function generatedAnswers(): EvaluationItem[] {
  return Array.from({ length: maxAnswers }, (_, i) => ({
    prompt: `What is known about city number ${i}?`,
    completion:
      `City ${i} has ${i * 1000} inhabitants and a harbour. Its mayor opened the new bridge on Monday. `.repeat(13),
  }))
}
