import type { Alarm } from '@plumbline/contracts'
import type { StoredAlarm } from '@plumbline/store'

/** What a webhook is sent; e-mail and the log say the same in words. */
export interface AlarmMessage {
  readonly type: 'alarm.opened'
  readonly project: string
  readonly alarm: Alarm
  /** The page with the answers behind it; a path where the server does not know its own address. */
  readonly link: string
  /** The newest of these answers, by their records. */
  readonly records: readonly string[]
}

export function alarmMessage(
  { alarm, project }: StoredAlarm,
  { link = '', records }: { readonly link: string | undefined; readonly records: readonly string[] },
): AlarmMessage {
  return { type: 'alarm.opened', project, alarm, link: `${link}/#/alarms/${alarm.id}`, records }
}

/** Lines of plain text, the first of them a subject. */
export function alarmText({ project, alarm, link, records }: AlarmMessage): { subject: string; text: string } {
  const answers = records.length === 0 ? [] : ['Answers behind it:', ...records.map((record) => `  ${record}`), '']
  return {
    subject: `[Plumbline] ${project}: ${alarm.summary}`.replace(/[\r\n]+/g, ' ').slice(0, 300),
    text: [alarm.summary, '', `Project ${project}, since ${alarm.opened_at}.`, '', ...answers, link, ''].join('\n'),
  }
}
