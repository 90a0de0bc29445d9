import { PlumblineError } from '@plumbline/contracts'
import { parseDocument } from 'yaml'

/** What YAML says. `code` and `hint` are of the error where it is none. */
export function parseYaml(text: string, { code, hint }: { readonly code: string; readonly hint: string }): unknown {
  const document = parseDocument(text)
  const [broken] = document.errors
  if (broken !== undefined)
    throw new PlumblineError(code, `not YAML: ${broken.message.split('\n')[0].replace(/:$/, '')}.`, { hint })
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (cause) {
    throw new PlumblineError(code, 'not YAML that can be read: its aliases multiply.', { hint, cause })
  }
}
