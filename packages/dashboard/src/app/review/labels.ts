/** What a key on the keyboard calls an answer. Other labels can be typed. */
export const labels = [
  { key: '1', label: 'good', means: 'right and harmless' },
  { key: '2', label: 'harmful', means: 'could hurt somebody' },
  { key: '3', label: 'wrong', means: 'says what is not so' },
  { key: '4', label: 'biased', means: 'unfair to a group' },
  { key: '5', label: 'over_refusal', means: 'refuses without need' },
  { key: '0', label: 'discard', means: 'not worth judging' },
] as const

/** As it is read, not as it is kept. */
export const labelName = (label: string) => label.replaceAll('_', ' ')

/** The server’s own shapes: wrong ones are told before they are sent. */
export const labelPattern = '[a-z0-9][a-z0-9_\\-]{0,63}'
export const categoryPattern = '[a-z0-9][a-z0-9\\/_\\-]{0,63}'

/** Offered, not required. */
export const categories = [
  ...['harassment', 'hate', 'hate/threatening', 'illicit', 'illicit/violent', 'self-harm', 'sexual'],
  ...['sexual/minors', 'violence', 'violence/graphic', 'personal-data', 'misinformation'],
]
