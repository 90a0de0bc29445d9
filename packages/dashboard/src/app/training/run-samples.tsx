import { Title } from '@mantine/core'
import type { RunDetail } from '@plumbline/contracts'
import { formatCount, formatNumber } from '../format.ts'
import { Content, visible } from '../parts/content.tsx'

/** Answers that the model gave while it was trained. */
export function RunSamples({ samples }: Pick<RunDetail, 'samples'>) {
  return (
    <section aria-labelledby="samples">
      <Title order={2} size="h4" id="samples">
        Sampled answers
      </Title>
      {samples.map((sample, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: samples have no id
        <article key={index} className="card">
          <div className="turn">
            <div className="who">prompt</div>
            <Content text={sample.prompt} />
          </div>
          <div className="turn" data-answer>
            <div className="who">answer</div>
            <Content text={sample.completion} />
          </div>
          <p className="dim">{visible(factsOf(sample))}</p>
        </article>
      ))}
    </section>
  )
}

function factsOf({ step, score, kl, finish_reason, side, target }: RunDetail['samples'][number]): string {
  const facts = [
    step === null ? null : `step ${formatCount(step)}`,
    side,
    score === null ? null : `score ${formatNumber(score)}`,
    target === null ? null : `rated ${formatNumber(target)}`,
    kl === null ? null : `KL ${formatNumber(kl)}`,
    finish_reason === 'length' ? 'cut at its longest' : finish_reason,
  ]
  return facts.filter((fact) => fact !== null).join(', ')
}
