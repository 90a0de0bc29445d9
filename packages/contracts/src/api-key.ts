import { z } from 'zod'

/** What a key opens: `client` the models, `reviewer` feedback and review, `admin` everything of its project. */
export const keyScopeSchema = z.enum(['client', 'reviewer', 'admin'])
export type KeyScope = z.infer<typeof keyScopeSchema>

export const projectSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'a project is 1 to 63 of a-z, 0-9, "-" and "_"')

const limit = z.number().int().min(1).max(1e9).nullable().optional()

/** What a key may use. Left out: as the configuration says; null: no limit. */
export const keyLimitsSchema = z.strictObject({
  requests_per_minute: limit,
  /** Answers at a time. */
  concurrent: limit,
  /** Guessed when a request comes, corrected by the usage that its answer reports. */
  tokens_per_minute: limit,
})
export type KeyLimits = z.infer<typeof keyLimitsSchema>

/** Body of `POST /api/keys`. */
export const newKeySchema = z.strictObject({
  scope: keyScopeSchema,
  /** The asking key's own project when left out. */
  project: projectSchema.optional(),
  name: z.string().max(200).optional(),
  limits: keyLimitsSchema.optional(),
})
