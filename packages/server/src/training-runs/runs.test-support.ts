import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Writes the files of a run; `run.json` is that of one that has ended, changed by `change`. */
export function writeRun(folder: string, change: object = {}, files: Readonly<Record<string, string>> = {}): string {
  mkdirSync(folder, { recursive: true })
  const record = {
    plumbline: '0.1.0',
    command: 'sft',
    status: 'finished',
    started: '2026-11-01T10:00:00.000Z',
    updated: '2026-11-01T10:05:00.000Z',
    pid: 1,
    host: 'somewhere',
    step: 2,
    error: null,
    config: { learning_rate: 1e-4, lora_target_modules: ['all-linear'] },
    inputs: { data: { path: 'rows.jsonl', sha256: 'ab', rows: 3 } },
    ...change,
  }
  writeFileSync(join(folder, 'run.json'), JSON.stringify(record))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}
