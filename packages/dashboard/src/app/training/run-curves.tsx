import { Title } from '@mantine/core'
import type { RunDetail } from '@plumbline/contracts'
import { CurveChart } from '../parts/curve-chart.tsx'
import { Nothing } from '../parts/page-frame.tsx'
import { chartsOf, type RunChart } from './metric-facts.ts'

export function RunCurves({ curves }: Pick<RunDetail, 'curves'>) {
  const { main, others } = chartsOf(curves)
  return (
    <section aria-labelledby="curves">
      <Title order={2} size="h4" id="curves">
        Curves
      </Title>
      {curves.length === 0 && <Nothing>It has logged no metrics yet.</Nothing>}
      <Charts charts={main} />
      {others.length > 0 && (
        <details>
          <summary>{`${others.length} more`}</summary>
          <Charts charts={others} />
        </details>
      )}
    </section>
  )
}

function Charts({ charts }: { readonly charts: readonly RunChart[] }) {
  return (
    <div className="cards">
      {charts.map(({ metric, ...chart }) => (
        <div key={metric} className="card">
          <CurveChart {...chart} />
        </div>
      ))}
    </div>
  )
}
