import { Fragment, type ReactNode } from 'react'

interface FactProps {
  readonly name: ReactNode
  /** Takes a row of its own. */
  readonly isWide?: boolean
  readonly children: ReactNode
}

/** One line of a list of facts, inside `<dl className="facts">`. */
export function Fact({ name, isWide = false, children }: FactProps) {
  return (
    <div data-wide={isWide || undefined}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

/** A long name breaks behind an underscore or a dot, not anywhere. */
export function Breakable({ name }: { readonly name: string }) {
  return name.split(/(?<=[_.])/).map((part, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of one name do not move
    <Fragment key={index}>
      {index > 0 && <wbr />}
      {part}
    </Fragment>
  ))
}
