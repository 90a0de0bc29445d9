import type { SubjectHasher } from '@plumbline/store'
import { asObject } from './answer.ts'

/** Whom an answer is for, and the request as it is kept: names of people stand in it as hashes. */
export interface ConcealedRequest {
  readonly subjects: string[]
  /** JSON. */
  readonly request: string
}

/**
 * OpenAI's fields for the person behind a request: `safety_identifier`, `user` before it, and `metadata.user_id`. A
 * caller may fill several of them, with one name or with different ones; a person is found by each. The upstream gets
 * the names as they came; a request without any is kept byte for byte.
 */
export function concealSubjects(
  hash: SubjectHasher,
  project: string,
  json: Record<string, unknown>,
  body: Buffer,
): ConcealedRequest {
  const subjects = new Set<string>()
  const conceal = (holder: Record<string, unknown>, field: string) => {
    const name = holder[field]
    if ((typeof name !== 'string' || name === '') && typeof name !== 'number') return holder
    const hashed = hash(project, String(name))
    subjects.add(hashed)
    return { ...holder, [field]: hashed }
  }
  let kept = conceal(conceal(json, 'safety_identifier'), 'user')
  const metadata = asObject(json.metadata)
  if ('user_id' in metadata) kept = { ...kept, metadata: conceal(metadata, 'user_id') }
  if (subjects.size === 0) return { subjects: [], request: body.toString('utf8') }
  return { subjects: [...subjects], request: JSON.stringify(kept) }
}
