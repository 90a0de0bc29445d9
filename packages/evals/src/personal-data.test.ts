import fc from 'fast-check'
import { expect, test } from 'vitest'
import { personalDataKinds } from './personal-data.ts'

function found(text: string): string[] {
  return personalDataKinds.flatMap(({ name, pattern, isValid }) =>
    [...text.matchAll(pattern)].filter(([match]) => isValid(match)).map(([match]) => `${name} ${match}`),
  )
}

test.each([
  ['write to ann.lee+x@mail.example.co.uk, please', ['email ann.lee+x@mail.example.co.uk']],
  ['card 4111 1111 1111 1111.', ['card 4111 1111 1111 1111']],
  ['IBAN GB82 WEST 1234 5698 7654 32 it is', ['iban GB82 WEST 1234 5698 7654 32']],
  ['DE89370400440532013000', ['iban DE89370400440532013000']],
  ['call +44 20 7946 0958 now', ['phone +44 20 7946 0958']],
  ['SSN 123-45-6789', ['us_ssn 123-45-6789']],
  ['CPF 529.982.247-25', ['br_cpf 529.982.247-25']],
  ['DNI 12345678Z', ['es_dni 12345678Z']],
  ['from 192.168.0.254 and 2001:db8::1', ['ip 192.168.0.254', 'ip 2001:db8::1']],
])('%s', (text, expected) => {
  expect(found(text)).toEqual(expected)
})

test.each([
  '4111 1111 1111 1112',
  'GB82 WEST 1234 5698 7654 33',
  '000-45-6789',
  '529.982.247-26',
  '12345678A',
  '300.1.2.3',
  'at 10:30:15 today',
  'version 1.2.3',
  'in the year 1984, 1,000 people',
  'a @ b',
  'C++ and std::vector',
])('nothing in: %s', (text) => {
  expect(found(text)).toEqual([])
})

test('a match is of the alphabet and no longer than said, and the scan is linear', () => {
  const alphabet = fc.constantFrom('a', 'Z', '0', '1', '9', '.', '-', '@', ' ', ':', '+', '(', ')', '_', 'é')
  const text = fc.array(alphabet, { maxLength: 400 }).map((letters) => letters.join(''))
  fc.assert(
    fc.property(text, (sample) => {
      for (const { pattern, maxLength, alphabet } of personalDataKinds) {
        for (const [match] of sample.matchAll(pattern)) {
          expect(match.length).toBeLessThanOrEqual(maxLength)
          expect([...match].every((letter) => alphabet.test(letter))).toBe(true)
        }
      }
    }),
    { numRuns: 500 },
  )
})
