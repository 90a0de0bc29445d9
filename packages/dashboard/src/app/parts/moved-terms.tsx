import type { MonitoringOverview } from '@plumbline/contracts'
import { addressOf } from '../address.ts'
import { formatShare } from '../format.ts'
import { visible } from './content.tsx'

const most = 8

/** Words whose share of texts moved, each with answers that have it. */
export function MovedTerms({ moved }: { readonly moved: NonNullable<MonitoringOverview['drift']>['moved'] }) {
  if (moved.length === 0) return null
  return (
    <table className="small">
      <thead>
        <tr>
          <th scope="col">Word</th>
          <th scope="col">Before</th>
          <th scope="col">Now</th>
          <th scope="col">Answers</th>
        </tr>
      </thead>
      <tbody>
        {moved.slice(0, most).map(({ term, reference, current, examples }) => (
          <tr key={term}>
            <th scope="row">{visible(term)}</th>
            <td>{formatShare(reference)}</td>
            <td>{formatShare(current)}</td>
            <td>
              {examples.slice(0, 3).map((record, index) => (
                <a
                  key={record}
                  className="example"
                  href={addressOf(['answers', record])}
                  aria-label={`answer ${index + 1} with ${visible(term)}`}
                >
                  {index + 1}
                </a>
              ))}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
