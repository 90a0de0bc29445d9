/** XSTest's and JAILJUDGE's labelled answers from the data folder. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { LabelledAnswer } from './refusal-model.ts'

export const XSTEST_FILE = 'grading/xstest-completions.jsonl.gz'
export const JAILJUDGE_FILE = 'grading/jailjudge-mini.jsonl.gz'

/** The folder beside the repository, where nothing else is said. */
export const defaultDataFolder = resolve(import.meta.dirname, '../../../../../shared/data')

function readRows(folder: string, file: string): Record<string, string>[] | undefined {
  const path = join(folder, file)
  if (!existsSync(path)) return undefined
  const text = gunzipSync(readFileSync(path), { maxOutputLength: 64 * 2 ** 20 }).toString()
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/** Undefined where the file is absent. */
export function readXstest(folder: string): LabelledAnswer[] | undefined {
  return readRows(folder, XSTEST_FILE)?.map(({ model, prompt, completion, label }) => ({
    model,
    prompt,
    completion,
    label: label.slice(2) as LabelledAnswer['label'], // "1_full_compliance"
  }))
}

/** Undefined where the file is absent. `isJailbroken` is stricter than complied: the answer also does harm. */
export function readJailjudge(
  folder: string,
): { prompt: string; completion: string; isJailbroken: boolean }[] | undefined {
  return readRows(folder, JAILJUDGE_FILE)?.map(({ question, answer, label }) => ({
    prompt: question,
    completion: answer,
    isJailbroken: label === '1',
  }))
}
