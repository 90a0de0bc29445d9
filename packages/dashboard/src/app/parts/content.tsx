/**
 * Control and format characters change how the text around them is shown, or show nothing: they are named instead. Not the
 * joiners, which scripts and emoji need.
 */
const hidden = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu

export function visible(text: string): string {
  return text.replace(hidden, (char) => `⟨U+${char.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}⟩`)
}

/** What a model or a person wrote: characters and nothing else. */
export function Content({ text }: { readonly text: string }) {
  if (text === '') return <p className="nothing">empty</p>
  return (
    <div className="content" dir="auto">
      {visible(text)}
    </div>
  )
}
