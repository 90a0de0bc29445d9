import type { EvaluationItem, Evaluator } from '@plumbline/evals'

const facts = { summary: 'for tests', version: '1', flags: ['bad'], passes: ['good'] }

/** Evaluators that do what none should, at an answer that says so. */
export const evaluators: Readonly<Record<string, Evaluator>> = {
  ends: {
    ...facts,
    name: 'ends',
    evaluate({ completion }: EvaluationItem) {
      // What an error inside of native code, or a lack of memory, comes to: the thread is gone.
      if (completion === 'end') process.exit(1)
      return { score: 0, label: 'good' }
    },
  },
  hangs: {
    ...facts,
    name: 'hangs',
    evaluate({ completion }: EvaluationItem) {
      while (completion === 'hang');
      return { score: 0, label: 'good' }
    },
  },
  throws: {
    ...facts,
    name: 'throws',
    evaluate({ completion }: EvaluationItem) {
      if (completion === 'throw') throw new TypeError('a fault of the evaluator')
      return { score: 0, label: 'good' }
    },
  },
}

// As when memory runs out while a record is read: the thread is gone.
const { parse } = JSON
JSON.parse = (text: string) => (text.includes('ends the reading') ? process.exit(1) : parse(text))
