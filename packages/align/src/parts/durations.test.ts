import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDurations, type PartState } from './durations.ts'

let base: string
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'plumbline-durations-'))
})
afterEach(() => rm(base, { recursive: true, force: true }))

let now = 0
const open = () => openDurations(join(base, 'durations.json'), () => now)
const spend = (seconds: number, state: PartState) => async (found: (state: PartState) => void) => {
  found(state)
  now += 1000 * seconds
}

test('what was finished earlier keeps its time, what is resumed adds to it, what begins anew begins at 0', async () => {
  const first = await open()
  await first.time('answers', spend(2, 'new'))
  const stopped = first.time('training', async (found) => {
    await spend(5, 'new')(found)
    throw new Error('stopped')
  })
  await expect(stopped).rejects.toThrow('stopped')
  expect(first.all()).toEqual([{ name: 'answers', seconds: 2 }])

  const second = await open()
  await second.time('answers', spend(0.1, 'finished'))
  await second.time('training', spend(3, 'resumed'))
  expect(second.all()).toEqual([
    { name: 'answers', seconds: 2 },
    { name: 'training', seconds: 8 },
  ])

  const third = await open()
  await third.time('training', spend(4, 'new'))
  expect(third.all()).toEqual([{ name: 'training', seconds: 4 }])
})

test('a part that was refused before it was found keeps its time', async () => {
  await (await open()).time('training', spend(5, 'new'))
  const again = await open()
  await expect(again.time('training', () => Promise.reject(new Error('refused')))).rejects.toThrow('refused')
  await again.time('training', spend(1, 'finished'))
  expect(again.all()).toEqual([{ name: 'training', seconds: 5 }])
})

test('a file that is broken counts as none', async () => {
  for (const text of ['', 'null', '{"training": "long", "answers": -1}']) {
    await writeFile(join(base, 'durations.json'), text)
    const durations = await open()
    await durations.time('training', spend(1, 'finished'))
    expect(durations.all()).toEqual([{ name: 'training', seconds: 1 }])
  }
})
