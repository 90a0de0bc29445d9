import { Title } from '@mantine/core'
import type { RunDetail } from '@plumbline/contracts'
import { formatCount, formatNumber, formatShare } from '../format.ts'
import { Fact } from '../parts/fact.tsx'

type Evaluation = NonNullable<RunDetail['evaluation']>

/** What a reward model is worth on rows that it has not seen. */
export function RunEvaluation({ evaluation }: { readonly evaluation: Evaluation }) {
  return (
    <section aria-labelledby="held-out">
      <Title order={2} size="h4" id="held-out">
        On {formatCount(evaluation.n)} held-out {evaluation.kind === 'pairs' ? 'pairs' : 'answers'}
      </Title>
      <div className="card">
        <dl className="facts in-a-row">
          {evaluation.kind === 'pairs' ? <Pairs {...evaluation} /> : <Scores {...evaluation} />}
          <Fact name="Loss">{formatNumber(evaluation.loss)}</Fact>
          <Fact name="Mean reward">{formatNumber(evaluation.mean_reward)}</Fact>
        </dl>
      </div>
    </section>
  )
}

function Pairs({ accuracy, margin, ece, brier_score, temperature }: Extract<Evaluation, { kind: 'pairs' }>) {
  const range =
    margin.low === null || margin.high === null ? '' : ` (${formatNumber(margin.low)} to ${formatNumber(margin.high)})`
  return (
    <>
      <Fact name="Accuracy; chance is 50 %">
        <span className="figure">{formatShare(accuracy.value)}</span> ({formatShare(accuracy.low)} to{' '}
        {formatShare(accuracy.high)})
      </Fact>
      <Fact name="Margin, chosen − rejected">
        {formatNumber(margin.value)}
        {range}
      </Fact>
      <Fact name="Calibration error (ECE)">{formatShare(ece)}</Fact>
      <Fact name="Brier score">{formatNumber(brier_score)}</Fact>
      <Fact name="Temperature">
        {temperature === null ? 'none fits' : `${formatNumber(temperature)}${temperature > 1 ? ': too sure' : ''}`}
      </Fact>
    </>
  )
}

function Scores({ mse, pearson, spearmanr }: Extract<Evaluation, { kind: 'scores' }>) {
  const unknown = 'unknown: the scores do not vary'
  return (
    <>
      <Fact name="Squared error">{formatNumber(mse)}</Fact>
      <Fact name="Pearson’s correlation">{pearson === null ? unknown : formatNumber(pearson)}</Fact>
      <Fact name="Spearman’s correlation">{spearmanr === null ? unknown : formatNumber(spearmanr)}</Fact>
    </>
  )
}
