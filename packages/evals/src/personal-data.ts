/** Personal data that has a form: found by its pattern, then checked by its own check digits where it has some. */

export interface PersonalDataKind {
  readonly name: string
  /** Global; every repetition is bounded, so it is linear. Looks at most one character around a match. */
  readonly pattern: RegExp
  /** Characters that a match can consist of. */
  readonly alphabet: RegExp
  /** Longest match. */
  readonly maxLength: number
  isValid(match: string): boolean
}

const anything = () => true

export const personalDataKinds = [
  {
    name: 'email',
    pattern: /(?<![\w.%+-])[\w.%+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,4}[a-z]{2,24}(?![a-z0-9-])/gi,
    alphabet: /[\w.%+@-]/,
    maxLength: 64 + 1 + 4 * 64 + 24,
    isValid: anything,
  },
  {
    name: 'card',
    pattern: /(?<![\d.])\d(?:[ -]?\d){12,18}(?!\d)/g,
    alphabet: /[\d -]/,
    maxLength: 37,
    isValid: (match) => isCard(digitsOf(match)),
  },
  {
    name: 'iban',
    pattern: /(?<![A-Z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Z0-9])/g,
    alphabet: /[A-Z0-9 ]/,
    maxLength: 4 + 7 * 5 + 4,
    isValid: isIban,
  },
  {
    name: 'phone',
    pattern:
      /(?<![\w+.])(?:\+\d{1,3}[ .-]?|(?=\()|0(?=[1-9]))(?:\(\d{1,5}\)[ .-]?)?\d{2,5}(?:[ .-]?\d{2,5}){1,4}(?![\w])/g,
    alphabet: /[\d+(). -]/,
    maxLength: 50,
    isValid: (match) => {
      const { length } = digitsOf(match)
      return length >= 8 && length <= 15
    },
  },
  {
    name: 'us_ssn',
    pattern: /(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])/g,
    alphabet: /[\d-]/,
    maxLength: 11,
    isValid: isSocialSecurityNumber,
  },
  {
    name: 'br_cpf',
    pattern: /(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)/g,
    alphabet: /[\d.-]/,
    maxLength: 14,
    isValid: isCpf,
  },
  {
    name: 'es_dni',
    pattern: /(?<![\w])[XYZ\d]\d{7}-?[A-Z](?!\w)/g,
    alphabet: /[A-Z\d-]/,
    maxLength: 10,
    isValid: isDni,
  },
  {
    name: 'fr_nir',
    pattern: /(?<!\d)[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}(?!\d)/g,
    alphabet: /[\d ]/,
    maxLength: 21,
    isValid: isNir,
  },
  {
    name: 'ip',
    pattern: /(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4})(?![\w:]|\.\d)/gi,
    alphabet: /[0-9a-f.:]/i,
    maxLength: 40,
    isValid: isAddress,
  },
] as const satisfies readonly PersonalDataKind[]

export type PersonalDataName = (typeof personalDataKinds)[number]['name']

function digitsOf(text: string): string {
  return text.replaceAll(/\D/g, '')
}

/** Luhn's sum, ISO/IEC 7812-1; cards have 13 to 19 digits, and none begins with 0. */
function isCard(digits: string): boolean {
  if (digits.length < 13 || digits.length > 19 || digits[0] === '0') return false
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i])
    const doubled = i % 2 === 0 ? digit : digit * 2
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

/** ISO 13616: country and check digits go to the end, letters become 10 … 35; the remainder by 97 is 1. */
function isIban(match: string): boolean {
  const text = match.replaceAll(' ', '').toUpperCase()
  if (text.length < 15 || text.length > 34) return false
  const moved = text.slice(4) + text.slice(0, 4)
  let remainder = 0
  for (const character of moved) {
    const value = Number.parseInt(character, 36)
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97
  }
  return remainder === 1
}

/** Numbers that were never given out are not: area 000, 666 and 9xx, group 00, serial 0000. */
function isSocialSecurityNumber(match: string): boolean {
  const [area, group, serial] = match.split('-')
  return area !== '000' && area !== '666' && area[0] !== '9' && group !== '00' && serial !== '0000'
}

function isCpf(match: string): boolean {
  const digits = [...digitsOf(match)].map(Number)
  if (new Set(digits).size === 1) return false
  const check = (length: number) => {
    const sum = digits.slice(0, length).reduce((total, digit, i) => total + digit * (length + 1 - i), 0)
    return ((sum * 10) % 11) % 10 === digits[length]
  }
  return check(9) && check(10)
}

/** Spain: the letter is the number's remainder by 23. */
function isDni(match: string): boolean {
  const text = match.replace('-', '')
  const number = Number(text.slice(0, 8).replace(/^[XYZ]/, (letter) => String('XYZ'.indexOf(letter))))
  return 'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23] === text[8]
}

/** France: the key is 97 less the remainder of the thirteen digits by 97. */
function isNir(match: string): boolean {
  const digits = digitsOf(match)
  const month = Number(digits.slice(3, 5))
  if (month < 1 || (month > 12 && month < 20) || month > 42) return false
  return 97 - (Number(digits.slice(0, 13)) % 97) === Number(digits.slice(13))
}

/** IPv4 with four numbers below 256; IPv6 with eight groups, or fewer and one "::". */
function isAddress(match: string): boolean {
  if (!match.includes(':')) return match.split('.').every((part) => Number(part) < 256)
  const groups = match.split(':')
  const isShortened = match.includes('::')
  return isShortened ? match.split('::').length === 2 && groups.length <= 8 : groups.length === 8
}
