import type { EmailSettings } from '../settings.ts'

/** Where alarms go beside the log. */
export interface Channels {
  /** Where people find this server. */
  readonly link: string | undefined
  readonly webhook: { readonly url: string; readonly isPrivate: boolean; readonly secret: string } | undefined
  readonly email: (EmailSettings & { readonly password: string | undefined }) | undefined
}

/** Kinds of jobs, one for each channel. */
export const alarmJobs = { log: 'alarm-log', webhook: 'alarm-webhook', email: 'alarm-email' } as const

export function jobsFor({ webhook, email }: Channels): string[] {
  return [
    alarmJobs.log,
    ...(webhook === undefined ? [] : [alarmJobs.webhook]),
    ...(email === undefined ? [] : [alarmJobs.email]),
  ]
}
