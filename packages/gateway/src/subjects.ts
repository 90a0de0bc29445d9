import type { SubjectHasher } from '@plumbline/store'
import { asObject } from './answer.ts'

type Json = Record<string, unknown>

/**
 * OpenAI's fields for the person behind a request: `safety_identifier`, `user` before it, and `metadata.user_id`. A
 * caller may fill several of them, with one name or with different ones; a person is found by each.
 */
export function subjectsOf(hash: SubjectHasher, project: string, json: Json): string[] {
  const names = [json.safety_identifier, json.user, asObject(json.metadata).user_id].filter(isName)
  return [...new Set(names.map((name) => hash(project, String(name))))]
}

/**
 * The request as it is kept, as JSON: names of people stand in it as hashes. The upstream gets them as they came; a
 * request without any is kept byte for byte. `body` is `json`.
 */
export function concealNames(hash: SubjectHasher, project: string, json: Json, body: Buffer): Buffer | string {
  const conceal = (holder: Json, field: string) =>
    isName(holder[field]) ? { ...holder, [field]: hash(project, String(holder[field])) } : holder
  const top = conceal(conceal(json, 'safety_identifier'), 'user')
  const metadata = asObject(json.metadata)
  const inside = conceal(metadata, 'user_id')
  if (top === json && inside === metadata) return body
  return JSON.stringify(inside === metadata ? top : { ...top, metadata: inside })
}

function isName(value: unknown): value is string | number {
  return (typeof value === 'string' && value !== '') || typeof value === 'number'
}
