export type Tone = 'good' | 'watch' | 'bad' | 'quiet'

/** A state in a word: the colour only repeats it. */
export function StateBadge({ tone, children }: { readonly tone: Tone; readonly children: string }) {
  return (
    <span className="state" data-tone={tone}>
      {children}
    </span>
  )
}
