import { Title } from '@mantine/core'
import type { MonitoringSettingsInForce } from '@plumbline/contracts'
import { useAnswer } from '../use-answer.ts'
import { visible } from './content.tsx'
import { Breakable, Fact } from './fact.tsx'
import { Loaded, Nothing } from './page-frame.tsx'

/** Characters that fit beside others. */
const longest = 80

type Settings = MonitoringSettingsInForce['settings']

/** What the file of `--monitoring` says, to be read; it is changed in the file. */
export function MonitoringSettings() {
  const answer = useAnswer<MonitoringSettingsInForce>('/api/monitoring/settings')
  return (
    <section aria-labelledby="monitoring">
      <Title order={2} size="h4" id="monitoring">
        Monitoring
      </Title>
      {answer.error?.code === 'operator_only' ? (
        <Nothing>It concerns all projects: the first administrator’s key shows it.</Nothing>
      ) : (
        <Loaded answer={answer}>
          {({ settings }) => (
            <>
              <p className="dim">
                As plumb started with it, defaults among it. To change it, edit the file of --monitoring and start plumb
                again. Of facts and canaries the number is shown, of addresses the server; secrets are in the variables
                that are named.
              </p>
              <dl className="facts in-a-row settings">
                {lines(settings).map(([name, value]) => (
                  <Fact key={name} name={<Breakable name={visible(name)} />} isWide={value.length > longest}>
                    {visible(value)}
                  </Fact>
                ))}
              </dl>
            </>
          )}
        </Loaded>
      )}
    </section>
  )
}

/** Each setting with the keys that lead to it. */
function lines(settings: Settings, before = ''): [string, string][] {
  return Object.entries(settings).flatMap(([key, value]) => {
    const name = `${before}${key}`
    if (value !== null && typeof value === 'object' && !Array.isArray(value))
      return lines(value as Settings, `${name}.`)
    return [[name, Array.isArray(value) ? value.join(', ') || 'none' : String(value)]]
  })
}
