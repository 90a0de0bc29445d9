/** HTML or SVG that this package wrote. Only `html` makes it, so text of a model or a user never becomes it. */
export class Markup {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

/** What may stand in a template: text (escaped), numbers, markup (as it is), lists of them; nothing for the rest. */
export type Part = string | number | Markup | false | null | undefined | readonly Part[]

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
// Invisible characters that reorder or hide what stands around them: bidirectional controls, zero-width space, BOM.
const invisible = /[\u200b\u200e\u200f\u202a-\u202e\u2061-\u2069\ufeff]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out; tab and line feed may stay.
const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

const nameOf = (character: string) => `⟨U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`

/**
 * Text as it may stand between tags or in a quoted attribute. Control and reordering characters are shown by name
 * instead of obeyed; half surrogates become U+FFFD.
 */
export function escapeText(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .toWellFormed()
    .replace(control, nameOf)
    .replace(invisible, nameOf)
    .replace(/[&<>"']/g, (character) => entities[character])
}

function show(part: Part): string {
  if (part === null || part === undefined || part === false) return ''
  if (part instanceof Markup) return part.toString()
  if (typeof part === 'string') return escapeText(part)
  if (typeof part === 'number') return escapeText(String(part))
  return part.map(show).join('')
}

/** Template tag for HTML and SVG: everything put in is escaped unless it is markup. Attributes are written quoted. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.map((text, index) => (index === 0 ? text : show(parts[index - 1]) + text)).join(''))
}
