/** PostgreSQL's text holds every character but NUL. */
export function storable(text: string): string {
  return text.replaceAll('\u0000', '\ufffd')
}
