import fc from 'fast-check'
import { expect, test } from 'vitest'
import { escapeText, html, Markup } from './markup.ts'

const entities: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&amp;': '&',
}
const plainText = (text: string) => text.replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => entities[entity])

test('escaped text has no character that HTML reads, and printable text comes back as it was', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(escapeText(text)).not.toMatch(/[<>"']/)
      expect(plainText(escapeText(text))).toBe(text)
    }),
  )
})

test('any code units become well-formed text without controls and reordering', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const escaped = escapeText(text)
      expect(escaped.isWellFormed()).toBe(true)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: none of these may be left.
      const unwanted = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]/
      expect(escaped).not.toMatch(unwanted)
    }),
  )
  expect(escapeText('a\u202egpj.exe\u0000')).toBe('a⟨U+202E⟩gpj.exe⟨U+0000⟩')
  expect(escapeText('\ud83d')).toBe('\ufffd')
})

test('templates escape all but markup, also in lists and in attributes', () => {
  const hostile = '"><script>alert(1)</script>'
  const shown = html`<p title="${hostile}">${[hostile, html`<b>${hostile}</b>`]}</p>`.toString()
  const safe = '&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;'
  expect(shown).toBe(`<p title="${safe}">${safe}<b>${safe}</b></p>`)
  expect(html`${null}${undefined}${false}${0}${new Markup('<i>')}`.toString()).toBe('0<i>')
})
