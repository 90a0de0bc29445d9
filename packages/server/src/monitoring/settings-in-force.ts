import type { MonitoringSettingsInForce } from '@plumbline/contracts'
import type { MonitoringSettings } from './settings.ts'

/** The settings for people to read. The path of a webhook is often its secret, and a name before an @ a person's. */
export function settingsInForce(settings: MonitoringSettings): MonitoringSettingsInForce {
  const { judge, counterfactual, facts, canaries, alarms, ...rest } = settings
  const { webhook, email } = alarms
  const shown = {
    ...rest,
    judge: judge && { ...judge, url: serverOf(judge.url) },
    counterfactual: counterfactual && { ...counterfactual, url: serverOf(counterfactual.url) },
    facts: facts.length,
    canaries: canaries.length,
    alarms: {
      ...alarms,
      webhook: webhook && { ...webhook, url: serverOf(webhook.url) },
      email: email && { ...email, smtp: serverOf(email.smtp) },
    },
  }
  // Sections that are absent are absent here, too.
  return { settings: JSON.parse(JSON.stringify(shown)) }
}

function serverOf(address: string): string {
  const { protocol, host } = new URL(address)
  return `${protocol}//${host}`
}
