import { Title } from '@mantine/core'
import type { RunDetail } from '@plumbline/contracts'
import { formatCount } from '../format.ts'
import { visible } from '../parts/content.tsx'
import { Breakable, Fact } from '../parts/fact.tsx'

/** What it started from: rows and models, and the resolved configuration. */
export function RunSetup({ config, inputs }: Pick<RunDetail, 'config' | 'inputs'>) {
  const settings = Object.entries(config)
  if (settings.length === 0 && inputs.length === 0) return null
  return (
    <section aria-labelledby="setup">
      <Title order={2} size="h4" id="setup">
        Configuration
      </Title>
      <div className="card">
        {inputs.length > 0 && (
          <dl className="facts in-a-row">
            {inputs.map(({ name, path, rows, sha256 }) => (
              <Fact key={name} name={visible(name)}>
                {visible(path)}
                {rows !== null && `, ${formatCount(rows)} rows`}
                <div className="dim">SHA-256 {visible(sha256.slice(0, 12))}</div>
              </Fact>
            ))}
          </dl>
        )}
        <dl className="facts in-a-row settings">
          {settings.map(([name, value]) => (
            <Fact key={name} name={<Breakable name={visible(name)} />}>
              {visible(typeof value === 'string' ? value : JSON.stringify(value))}
            </Fact>
          ))}
        </dl>
      </div>
    </section>
  )
}
