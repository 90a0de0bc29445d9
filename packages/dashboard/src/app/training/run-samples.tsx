import { Title } from '@mantine/core'
import type { RunDetail } from '@plumbline/contracts'
import { formatCount, formatNumber } from '../format.ts'
import { Content, visible } from '../parts/content.tsx'

type Sample = RunDetail['samples'][number]

/** Answers that the model gave while it was trained, or, of a reward model, held-out ones that it scored. */
export function RunSamples({ samples }: Pick<RunDetail, 'samples'>) {
  const areHeldOut = samples.some(({ side, target }) => side !== null || target !== null)
  return (
    <section aria-labelledby="samples">
      <Title order={2} size="h4" id="samples">
        {areHeldOut ? 'Held-out answers and their scores' : 'Sampled answers'}
      </Title>
      {pairsTogether(samples).map((answers, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: samples have no id
        <article key={index} className="card">
          <div className="turn">
            <div className="who">prompt</div>
            <Content text={answers[0].prompt} />
          </div>
          {answers.map((answer) => (
            <div key={answer.side} className="turn" data-answer>
              <div className="who">{answer.side === null ? 'answer' : visible(factsOf(answer))}</div>
              <Content text={answer.completion} />
            </div>
          ))}
          <p className="dim">{visible(factsOfCard(answers))}</p>
        </article>
      ))}
    </section>
  )
}

/** The chosen and the rejected answer to a prompt are read beside each other. */
function pairsTogether(samples: readonly Sample[]): Sample[][] {
  const cards: Sample[][] = []
  for (const sample of samples) {
    const card = cards.at(-1)
    const isSecond =
      card?.length === 1 &&
      card[0].side === 'chosen' &&
      sample.side === 'rejected' &&
      card[0].step === sample.step &&
      card[0].prompt === sample.prompt
    if (isSecond) card.push(sample)
    else cards.push([sample])
  }
  return cards
}

function factsOfCard([first]: readonly Sample[]): string {
  const facts = [
    first.step === null ? '' : `step ${formatCount(first.step)}`,
    first.side === null ? factsOf(first) : '',
  ]
  return facts.filter((fact) => fact !== '').join(', ')
}

function factsOf({ score, kl, finish_reason, side, target }: Sample): string {
  const facts = [
    side,
    score === null ? null : `score ${formatNumber(score)}`,
    target === null ? null : `rated ${formatNumber(target)}`,
    kl === null ? null : `KL ${formatNumber(kl)}`,
    finish_reason === 'length' ? 'cut at its longest' : finish_reason,
  ]
  return facts.filter((fact) => fact !== null).join(', ')
}
