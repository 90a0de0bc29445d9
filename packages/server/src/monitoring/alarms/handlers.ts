import type { JobHandler, Store } from '@plumbline/store'
import { z } from 'zod'
import { alarmJobs, type Channels } from './channels.ts'
import { sendEmail } from './email.ts'
import { readEvidence } from './evidence.ts'
import { type AlarmMessage, alarmMessage, alarmText } from './message.ts'
import { sendWebhook } from './webhook.ts'

const payloadSchema = z.object({ project: z.string(), alarm: z.uuid() })
/** Named in a message; the page behind the link has more. */
const namedRecords = 5

interface HandlerParts {
  readonly store: Store
  readonly channels: Channels
  readonly now: () => number
  readonly warn: (text: string) => void
}

/** Jobs that tell people of an alarm: each channel is tried on its own, again where it fails. */
export function alarmHandlers({ store, channels, now, warn }: HandlerParts): Record<string, JobHandler> {
  const tell = (send: (message: AlarmMessage, signal: AbortSignal) => Promise<void> | void): JobHandler => {
    return async (payload, { signal }) => {
      const { project, alarm: id } = payloadSchema.parse(payload)
      const stored = await store.monitoring.findAlarm(project, id)
      if (stored === undefined) return { sent: false, reason: 'the alarm is gone' }
      const { records } = await readEvidence(store.monitoring, stored, namedRecords)
      const named = records.map(({ record }) => record)
      await send(alarmMessage(stored, { link: channels.link, records: named }), signal)
      return { sent: true }
    }
  }
  const { webhook, email } = channels
  // A channel that is not configured here is left to a worker that has it.
  return {
    [alarmJobs.log]: tell((message) => {
      const { subject } = alarmText(message)
      warn(`${subject}: ${message.link}`)
    }),
    ...(webhook && {
      [alarmJobs.webhook]: tell((message, signal) => sendWebhook(message, webhook, { now: now(), signal })),
    }),
    ...(email && { [alarmJobs.email]: tell((message) => sendEmail(message, email)) }),
  }
}
