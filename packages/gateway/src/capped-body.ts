/** A reply's text; throws `tooLong` where it has more than `maxBytes`. */
export async function readCapped(body: AsyncIterable<Buffer>, maxBytes: number, tooLong: string): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > maxBytes) throw new Error(tooLong)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
