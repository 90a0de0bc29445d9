import { Table, Title } from '@mantine/core'
import type { GuardVerdict, Interaction } from '@plumbline/contracts'
import { formatCount, formatMs, formatTime } from '../format.ts'
import { visible } from './content.tsx'
import { Fact } from './fact.tsx'
import { StateBadge, type Tone } from './state-badge.tsx'
import { TerminationBadge } from './termination-badge.tsx'

/** Everything about an answer but its text. */
export function RecordFacts({ record }: { readonly record: Interaction }) {
  return (
    <aside aria-label="Facts about this answer">
      <dl className="facts">
        <Fact name="When">{formatTime(record.created_at)}</Fact>
        <Fact name="Ended">
          <TerminationBadge termination={record.termination} />
        </Fact>
        <Fact name="Model">{visible(record.model ?? record.request_model ?? 'unknown')}</Fact>
        <Fact name="Endpoint">{visible(record.endpoint)}</Fact>
        <Fact name="Upstream">{visible(record.upstream) || 'none was asked'}</Fact>
        <Fact name="Took">{took(record.timings)}</Fact>
        <Fact name="Status">{record.status ?? 'none: the client had left'}</Fact>
        <Fact name="Usage">{usageOf(record.usage)}</Fact>
        <Fact name="Bytes">
          {formatCount(record.request_bytes)} in, {formatCount(record.response_bytes)} out
        </Fact>
        <Fact name="Key">{record.key_id ?? 'none'}</Fact>
        <Fact name="Record">{record.record}</Fact>
        <Fact name="Answer’s id">{visible(record.id)}</Fact>
        {record.config !== undefined && <Fact name="Configuration">{record.config}</Fact>}
        {record.notes.length > 0 && <Fact name="Notes">{visible(record.notes.join('; '))}</Fact>}
      </dl>
      <Guards verdicts={record.guards} />
      <details>
        <summary>The whole record as JSON</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
        <pre className="json" tabIndex={0}>
          {visible(JSON.stringify(record, null, 2))}
        </pre>
      </details>
    </aside>
  )
}

function took({ first_token_ms, total_ms }: Interaction['timings']): string {
  return `${formatMs(total_ms)}${first_token_ms === null ? '' : `, first token after ${formatMs(first_token_ms)}`}`
}

const tones: Record<GuardVerdict['outcome'], Tone> = {
  passed: 'good',
  flagged: 'watch',
  redacted: 'watch',
  blocked: 'bad',
  error: 'bad',
  skipped: 'quiet',
}

function Guards({ verdicts }: { readonly verdicts: readonly GuardVerdict[] }) {
  if (verdicts.length === 0) return null
  return (
    <section aria-labelledby="guards">
      <Title order={2} size="h4" id="guards">
        Guards
      </Title>
      <Table>
        <Table.Tbody>
          {verdicts.map((one) => (
            <Table.Tr key={`${one.name} ${one.direction}`}>
              <Table.Th scope="row">
                {visible(one.name)} ({one.direction})
              </Table.Th>
              <Table.Td>
                <StateBadge tone={tones[one.outcome]}>{one.outcome}</StateBadge> {visible(one.label ?? one.error ?? '')}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  )
}

/** In whatever words the upstream says it: chat, completions and embeddings in these, others as they are. */
function usageOf(usage: Interaction['usage']): string {
  if (usage === null) return 'not reported'
  if (typeof usage === 'object' && !Array.isArray(usage)) {
    const { prompt_tokens: read, completion_tokens: written = 0 } = usage
    if (typeof read === 'number' && typeof written === 'number')
      return `${formatCount(read)} tokens read, ${formatCount(written)} written`
  }
  return visible(JSON.stringify(usage))
}
