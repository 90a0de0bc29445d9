import { z } from 'zod'
import { keyLimitsSchema, keyScopeSchema, projectSchema } from './api-key.ts'

/** Bodies and queries of `/api/…`. */

/** A time between 1970 and 9999, as ISO 8601. */
export const timeSchema = z.iso
  .datetime({ offset: true })
  .refine((text) => Date.parse(text) >= 0, 'a time after 1970')
  .transform((text) => new Date(text).toISOString())
/** How many of a page, as a query has it. */
export function limitOf({ most, usual }: { readonly most: number; readonly usual: number }) {
  const error = `a whole number from 1 to ${most}`
  return z.coerce.number({ error }).int({ error }).min(1, { error }).max(most, { error }).default(usual)
}
const limitSchema = limitOf({ most: 1000, usual: 100 })
export const numberedPageSchema = z.strictObject({
  limit: limitSchema,
  after: z
    .string()
    .regex(/^\d{1,18}$/, 'after is the "next" of the page before')
    .optional(),
})

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ data: z.array(item), next: z.string().nullable() })
}

export const keyIdSchema = z.string().regex(/^key_[\w-]{1,64}$/, 'a key’s id begins with key_')
export const keyQuerySchema = z.strictObject({ limit: limitSchema, after: keyIdSchema.optional() })
const keyFactsSchema = z.object({
  id: z.string(),
  scope: keyScopeSchema,
  project: projectSchema,
  name: z.string(),
  created_at: z.iso.datetime(),
  revoked_at: z.iso.datetime().nullable(),
})
export const keyPageSchema = pageOf(keyFactsSchema)
export type KeyPage = z.infer<typeof keyPageSchema>
/** The only time that the key itself is shown. */
export const createdKeySchema = z.object({
  key: z.string(),
  id: z.string(),
  scope: keyScopeSchema,
  project: z.string(),
  name: z.string(),
  limits: keyLimitsSchema,
})
export type CreatedKey = z.infer<typeof createdKeySchema>
/** The version of the configuration in force. */
export const reloadedSchema = z.object({ config: z.string() })
export const feedbackSecretSchema = z.object({ id: z.string(), created_at: z.string() })
export const revokedKeySchema = z.object({ id: z.string(), revoked: z.literal(true) })

/** A person: by the name that the caller gave, or by the hash that stands in records. */
export const subjectSchema = z
  .strictObject({
    subject: z.string().min(1).max(512).optional(),
    subject_hash: z
      .string()
      .regex(/^[\w-]{43}$/, 'subject_hash is one of the "subjects" of a record')
      .optional(),
  })
  .refine(({ subject, subject_hash }) => (subject === undefined) !== (subject_hash === undefined), {
    error: 'either subject or subject_hash',
    path: ['subject'],
  })
export const erasureStartedSchema = z.object({ job: z.uuid(), subject_hash: z.string() })

export const jobSchema = z.object({
  id: z.uuid(),
  kind: z.string(),
  state: z.enum(['waiting', 'running', 'done', 'dead']),
  attempts: z.number().int().min(0),
  result: z.json(),
  error: z.string().nullable(),
  created_at: z.iso.datetime(),
  finished_at: z.iso.datetime().nullable(),
})

export const auditPageSchema = pageOf(
  z.object({
    position: z.number().int().min(1),
    at: z.iso.datetime(),
    actor: z.string(),
    action: z.string(),
    project: z.string(),
    target: z.string().nullable(),
    outcome: z.enum(['done', 'refused']),
    sha256: z.string(),
  }),
)
export type AuditPage = z.infer<typeof auditPageSchema>

/** Who is asking. The token and the end are those of a session; a key has none. */
export const sessionSchema = z.object({
  key_id: z.string(),
  scope: keyScopeSchema,
  project: z.string(),
  csrf_token: z.string().nullable(),
  expires_at: z.iso.datetime().nullable(),
})
export type Session = z.infer<typeof sessionSchema>
export const sessionEndedSchema = z.object({ ended: z.literal(true) })
