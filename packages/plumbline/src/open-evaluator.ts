/** The evaluator that a command line names, a judge by URL among them, and a calibration of the user's own. */
import { nearest, PlumblineError } from '@plumbline/contracts'
import { type Calibration, createJudge, type Evaluator, evaluators, type JudgeReply } from '@plumbline/evals'
import { z } from 'zod'
import { readTextFile } from './text-file.ts'
import type { World } from './world.ts'

export interface EvaluatorChoice {
  readonly evaluator: string
  readonly judge_url?: string
  readonly judge_model?: string
  readonly judge_key_env?: string
  readonly judge_budget_ms: number
  readonly policy?: string
}

/** A verdict is short; more is not read. */
const maxReplyBytes = 2 ** 20
const maxRecordBytes = 2 ** 20

export function openEvaluator(choice: EvaluatorChoice, env: World['env']): Evaluator {
  if (choice.evaluator === 'judge') return openJudge(choice, env)
  const found = (evaluators as Readonly<Record<string, Evaluator>>)[choice.evaluator]
  if (Object.hasOwn(evaluators, choice.evaluator)) return found
  const names = [...Object.keys(evaluators), 'judge']
  const meant = nearest(choice.evaluator, names)
  throw new PlumblineError('USAGE_EVALUATOR', `There is no evaluator ${choice.evaluator}.`, {
    hint: meant === undefined ? `There are: ${names.join(', ')}.` : `Did you mean ${meant}?`,
  })
}

function openJudge(choice: EvaluatorChoice, env: World['env']): Evaluator {
  const { judge_url: url, judge_model: model, judge_key_env: variable, judge_budget_ms: budgetMs, policy } = choice
  if (url === undefined || model === undefined || policy === undefined)
    throw new PlumblineError('USAGE_JUDGE', 'The judge needs --judge-url, --judge-model and --policy.', {
      hint: 'For example: --judge-url http://127.0.0.1:8000/v1 --judge-model my-model --policy "No medical advice."',
    })
  const key = variable === undefined ? undefined : env[variable]
  if (variable !== undefined && !key)
    throw new PlumblineError('USAGE_JUDGE', `The variable ${variable} of --judge-key-env is not set.`, {
      hint: 'Export it with the key of the judge’s server.',
    })
  const endpoint = `${url.replace(/\/+$/, '')}/chat/completions`
  return createJudge({ model, policy, budgetMs, post: (body, signal) => post(endpoint, key, body, signal) })
}

async function post(url: string, key: string | undefined, body: unknown, signal: AbortSignal): Promise<JudgeReply> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
    body: JSON.stringify(body),
    redirect: 'error',
    signal,
  })
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxReplyBytes) throw new Error('its reply has more than a megabyte')
    chunks.push(chunk)
  }
  return { status: response.status, text: Buffer.concat(chunks).toString('utf8') }
}

const share = z.number().min(0).max(1)
const measuredRate = z
  .object({ hits: z.int().min(0), n: z.int().min(1), estimate: share, low: share, high: share })
  .refine(({ hits, n }) => hits <= n, { error: 'hits is more than n' })
const calibration = z.object({
  evaluator: z.string(),
  version: z.string(),
  dataset: z.string(),
  data_hash: z.string().optional(),
  n: z.int().optional(),
  date: z.string(),
  command: z.string(),
  method: z.string(),
  sensitivity: measuredRate,
  specificity: measuredRate,
  auc: z.object({ estimate: share, low: share, high: share }).optional(),
})

/** A record that `--calibrate` wrote. Throws where it belongs to another evaluator or version. */
export async function readCalibration(path: string, { name, version }: Evaluator, world: World): Promise<Calibration> {
  const hint = 'Give a file that plumb evaluate --calibrate --output wrote.'
  const text = await readTextFile(path, { code: 'CALIBRATION', cwd: world.cwd, maxBytes: maxRecordBytes, hint })
  const parsed = calibration.safeParse(parseJson(text))
  if (!parsed.success) {
    const [{ path: at, message }] = parsed.error.issues
    throw new PlumblineError(
      'CALIBRATION_RECORD',
      `${path}: no calibration record: ${at.join('.') || 'the file'}: ${message}.`,
      { hint },
    )
  }
  const record = parsed.data
  if (record.evaluator !== name || record.version !== version)
    throw new PlumblineError(
      'CALIBRATION_STALE',
      `${path}: measures ${record.evaluator} ${record.version}, and this is ${name} ${version}.`,
      { hint: 'Measure it again with --calibrate, or leave --calibration out.' },
    )
  return record
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
