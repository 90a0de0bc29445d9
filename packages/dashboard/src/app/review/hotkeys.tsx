import { Kbd } from '@mantine/core'
import { labelName, labels } from './labels.ts'

const others = [
  ['Enter', 'submit what is chosen'],
  ['Ctrl+Enter', 'submit, also from inside a text'],
  ['s', 'skip: leave it to others'],
  ['l', 'another label'],
  ['c', 'category'],
  ['e', 'comment'],
  ['x', 'correction'],
  ['Esc', 'leave a field'],
] as const

/** What the keys do. */
export function Hotkeys() {
  return (
    <details className="hotkeys">
      <summary>What the keyboard does</summary>
      <ul>
        {labels.map(({ key, label }) => (
          <li key={key}>
            <Kbd>{key}</Kbd> {labelName(label)}
          </li>
        ))}
        {others.map(([key, means]) => (
          <li key={key}>
            <Kbd>{key}</Kbd> {means}
          </li>
        ))}
      </ul>
    </details>
  )
}
