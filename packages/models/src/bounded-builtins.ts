/** Longest text that a template may make, in UTF-16 units; some million tokens. */
const MAX_TEXT_LENGTH = 1 << 22
/** Longest list that a template may make. */
const MAX_LIST_LENGTH = 1 << 20

export class TemplateLimit extends Error {}

export function checkText(length: number): void {
  if (length > MAX_TEXT_LENGTH) throw new TemplateLimit(`it makes a text of more than ${MAX_TEXT_LENGTH} characters`)
}

export function checkList(length: number): void {
  if (!(length <= MAX_LIST_LENGTH)) throw new TemplateLimit(`it makes a list of more than ${MAX_LIST_LENGTH} items`)
}

/**
 * Puts limits on the four builtins by which one call makes much out of little (`replace`, `indent`, `join`, `tojson`,
 * `split`). One allocation beyond the limit of a thread's heap would end the whole process, before anyone can stop
 * the thread. Only for a thread that does nothing but run templates: the builtins of other threads are not touched.
 */
export function boundBuiltins(): void {
  const { repeat, replaceAll, split } = String.prototype
  const { join } = Array.prototype

  String.prototype.repeat = function (count) {
    checkText(this.length * count)
    return repeat.call(this, count)
  }
  String.prototype.replaceAll = function (this: string, pattern: string | RegExp, replacement: unknown) {
    let length = this.length
    const bounded = (match: string, ...rest: unknown[]): string => {
      const text: string = typeof replacement === 'function' ? replacement(match, ...rest) : String(replacement)
      length += text.length
      checkText(length)
      return text
    }
    return replaceAll.call(this, pattern, bounded)
  } as typeof replaceAll
  String.prototype.split = function (this: string, separator: string, limit?: number) {
    const parts = (split as (by: string, limit: number) => string[]).call(
      this,
      separator,
      Math.min(limit ?? Number.POSITIVE_INFINITY, MAX_LIST_LENGTH + 1),
    )
    checkList(parts.length)
    return parts
  } as typeof split
  Array.prototype.join = function (separator = ',') {
    let length = 0
    const texts = this.map((item) => {
      const text = item === null || item === undefined ? '' : String(item)
      length += text.length + separator.length
      checkText(length)
      return text
    })
    return join.call(texts, separator)
  }
}
