/** Counts the turns of the event loop while `work` lasts, and does in each what others do meanwhile. */
export async function turnsOf(work: Promise<unknown>, others = () => {}): Promise<number> {
  let turns = 0
  let isOver = false
  const next = () => {
    turns++
    others()
    if (!isOver) setImmediate(next)
  }
  setImmediate(next)
  await work
  isOver = true
  return turns
}
