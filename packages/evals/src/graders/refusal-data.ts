/** XSTest's and JAILJUDGE's labelled answers from the data folder. */
import { readRows } from './data-rows.ts'
import type { LabelledAnswer } from './refusal-model.ts'

export const XSTEST_FILE = 'grading/xstest-completions.jsonl.gz'
export const JAILJUDGE_FILE = 'grading/jailjudge-mini.jsonl.gz'

/** Undefined where the file is absent. */
export function readXstest(folder: string): LabelledAnswer[] | undefined {
  return readRows(folder, XSTEST_FILE)?.map(({ model, prompt, completion, label }) => ({
    model: String(model),
    prompt: String(prompt),
    completion: String(completion),
    label: String(label).slice(2) as LabelledAnswer['label'], // "1_full_compliance"
  }))
}

/** Undefined where the file is absent. `isJailbroken` is stricter than complied: the answer also does harm. */
export function readJailjudge(
  folder: string,
): { prompt: string; completion: string; isJailbroken: boolean }[] | undefined {
  return readRows(folder, JAILJUDGE_FILE)?.map(({ question, answer, label }) => ({
    prompt: String(question),
    completion: String(answer),
    isJailbroken: label === '1',
  }))
}
