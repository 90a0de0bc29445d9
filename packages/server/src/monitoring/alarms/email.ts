import type { Channels } from './channels.ts'
import { type AlarmMessage, alarmText } from './message.ts'

const patienceMs = 20_000
const loopback = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/** Delivers to the SMTP server once; throws where it did not take it. Passwords go over TLS alone, but on this machine. */
export async function sendEmail(message: AlarmMessage, email: NonNullable<Channels['email']>): Promise<void> {
  const { protocol, hostname, port, username } = new URL(email.smtp)
  const isSecure = protocol === 'smtps:'
  const isHere = loopback.test(hostname)
  const hasPassword = username !== '' && email.password !== undefined
  // Read when it is needed: most gateways send no mail.
  const { createTransport } = await import('nodemailer')
  const transport = createTransport({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (isSecure ? 465 : 587),
    secure: isSecure,
    requireTLS: hasPassword && !isSecure && !isHere,
    // Nobody stands between, and no authority signs for this machine.
    tls: { rejectUnauthorized: !isHere },
    ...(hasPassword ? { auth: { user: decodeURIComponent(username), pass: email.password } } : {}),
    connectionTimeout: patienceMs,
    greetingTimeout: patienceMs,
    socketTimeout: patienceMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  try {
    await transport.sendMail({
      from: email.from,
      to: [...email.to],
      messageId: idOf(message, email.from),
      ...alarmText(message),
    })
  } finally {
    transport.close()
  }
}

/** The same for every try, so that mail programs show one. */
function idOf({ alarm }: AlarmMessage, from: string): string {
  return `<alarm-${alarm.id}@${from.slice(from.indexOf('@') + 1)}>`
}
