/**
 * Frees the whole memory that the bytes are part of. V8 counts such memory towards the size at which it collects its whole
 * heap, and does not see before a collection that nobody needs it.
 */
export function giveBack({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0)
}
