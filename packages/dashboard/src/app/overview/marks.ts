import type { Alarm, MonitoringOverview } from '@plumbline/contracts'
import type { ChartMark } from '../parts/chart.tsx'

/** Releases, and those open alarms that `isOurs` takes, on their days. */
export function marksOf(
  { releases, open_alarms }: Pick<MonitoringOverview, 'releases' | 'open_alarms'>,
  isOurs: (alarm: Alarm) => boolean = () => false,
): ChartMark[] {
  return [
    ...releases.map(({ at, kind, name }) => ({
      day: at.slice(0, 10),
      text: kind === 'model' ? `release: model ${name}` : `configuration ${name}`,
      kind: 'release' as const,
    })),
    ...open_alarms.filter(isOurs).map(({ opened_at, summary }) => ({
      day: opened_at.slice(0, 10),
      text: `alarm: ${summary}`,
      kind: 'alarm' as const,
    })),
  ]
}
