/** `load_best_model_at_end`: a run ends with the weights of its lowest evaluation loss. */
import { PlumblineError } from '@plumbline/contracts'
import type { ParameterMap } from '@plumbline/engine'
import type { RunFolder } from './run-folder.ts'

export interface BestCheckpointConfig {
  readonly load_best_model_at_end: boolean
  readonly eval_steps: number
  readonly save_steps: number
}

/** Throws BEST_NOT_MEASURED unless every checkpoint that training plans to save has a loss. */
export function checkBestIsMeasured(
  { load_best_model_at_end, eval_steps, save_steps }: BestCheckpointConfig,
  hasEvaluation: boolean,
  howToGetOne: string,
): void {
  if (!load_best_model_at_end) return
  const problem = (text: string, hint: string) =>
    new PlumblineError('BEST_NOT_MEASURED', `--load-best-model-at-end: ${text}.`, { hint })
  if (!hasEvaluation) throw problem('there are no rows to measure checkpoints on', howToGetOne)
  if (eval_steps > 0 && save_steps > 0 && save_steps % eval_steps === 0) return
  const now = `--save-steps is ${save_steps}, --eval-steps ${eval_steps}`
  const why = eval_steps === 0 || save_steps === 0 ? '0 means at the end only' : 'checkpoints between have no loss'
  const fits = eval_steps > 0 ? eval_steps : save_steps
  throw problem(
    `each checkpoint must be measured; ${now}, and ${why}`,
    fits > 0
      ? `Make --save-steps a multiple of --eval-steps: for example --eval-steps ${fits} --save-steps ${fits}.`
      : 'Set both above 0: for example --eval-steps 50 --save-steps 50.',
  )
}

/** Throws BEST_BEFORE_LAST when `epochs` of a last stage follow, which `eval_loss` does not measure. */
export function checkBestIsLast(
  { load_best_model_at_end }: BestCheckpointConfig,
  epochs: number,
  flag: string,
  measured: string,
): void {
  if (!load_best_model_at_end || epochs === 0) return
  throw new PlumblineError(
    'BEST_BEFORE_LAST',
    `--load-best-model-at-end measures ${measured}, so it would undo what ${flag} trains.`,
    { hint: 'Leave out one of the two.' },
  )
}

/** Puts the best checkpoint's weights into `parameters`, and says which. False when none is there whole. */
export async function loadBestWeights(
  run: RunFolder,
  parameters: ParameterMap,
  log: (text: string) => void,
): Promise<boolean> {
  const best = await run.loadBestCheckpoint()
  if (!best) {
    log('No checkpoint with an evaluation loss is whole: the model is that of the last step.')
    return false
  }
  for (const { name, data } of parameters.values()) data.set(best.arrays.get(`parameter.${name}`)!)
  log(`The model is that of step ${best.step}, which has the lowest eval_loss: ${best.metric?.toPrecision(4)}.`)
  return true
}
