import { PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'

/** The rows that trainers read: TRL's columns, standard (text) or conversational (messages). */
const message = z.looseObject({ role: z.string(), content: z.string() })
const messages = z.array(message).min(1)
const textOrMessages = z.union([z.string(), messages])

export const sftRowSchema = z.object({
  messages: messages.optional(),
  prompt: textOrMessages.optional(),
  completion: textOrMessages.optional(),
  text: z.string().optional(),
})
export type SftRow = z.infer<typeof sftRowSchema>

export const preferenceRowSchema = z.object({
  prompt: textOrMessages,
  chosen: textOrMessages,
  rejected: textOrMessages,
  margin: z.number().optional(),
})
export type PreferenceRow = z.infer<typeof preferenceRowSchema>

export const promptRowSchema = z.object({ prompt: textOrMessages })
export type PromptRow = z.infer<typeof promptRowSchema>

/** What a data file is for, told by its columns. */
export function trainerFor(columns: readonly string[]): string {
  if (columns.includes('chosen') && columns.includes('rejected')) return 'plumb reward'
  if (columns.includes('messages') || columns.includes('completion') || columns.includes('text')) return 'plumb sft'
  return columns.includes('prompt') ? 'plumb ppo' : 'no trainer'
}

/** Refuses rows without what a trainer needs, naming the one that they fit. */
export function wrongRows(trainer: string, line: number, columns: readonly string[]): PlumblineError {
  const fits = trainerFor(columns)
  return new PlumblineError(
    'DATA_WRONG_KIND',
    `row ${line} has the columns ${columns.join(', ') || '(none)'}, which ${trainer} cannot train on.`,
    { hint: fits === 'no trainer' ? `See ${trainer} --help for the columns.` : `These columns are for ${fits}.` },
  )
}
