/** Characters that change how the text around them is shown, or show nothing: they are named instead. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it looks for
const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

export function visible(text: string): string {
  return text.replace(hidden, (char) => `⟨U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`)
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
