/** Categories in which a mistake harms somebody: nothing follows from what one person alone says of them. */
export const highStakes = ['self-harm', 'sexual/minors', 'illicit/violent', 'violence/graphic', 'hate/threatening']

/** How many people must look before anything follows. A category covers those below it: `self-harm/intent`. */
export function peopleNeeded(category: string | null | undefined): 1 | 2 {
  const isHigh = highStakes.some((one) => category === one || category?.startsWith(`${one}/`))
  return isHigh ? 2 : 1
}
