import { Button } from '@mantine/core'

interface PagerProps {
  readonly of: string
  /** Where each word leads; null where there is no such page. */
  readonly links: Readonly<Record<string, string | null>>
}

/** The ways to the other pages of a list. */
export function Pager({ of, links }: PagerProps) {
  return (
    <nav className="pager" aria-label={`Pages of ${of}`}>
      {Object.entries(links).map(
        ([word, address]) =>
          address !== null && (
            <Button key={word} component="a" variant="default" href={address}>
              {word}
            </Button>
          ),
      )}
    </nav>
  )
}
