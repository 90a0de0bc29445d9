import type { StoredKey } from '@plumbline/store'
import { expect, test } from 'vitest'
import { keepAdmin, makeAdmin } from './first-admin.ts'
import { createKeyRing, keepKey } from './keys.ts'

/** Keys as a store keeps them: a revoked one stays in the table, so it cannot come back. */
function ringOf(stored: StoredKey[], revoked: readonly string[] = []) {
  const keys = createKeyRing({ listKeys: async () => stored })
  const keep = async (key: StoredKey) => {
    if (!revoked.includes(key.sha256)) stored.push(key)
    await keys.refresh()
  }
  return { keys, keep }
}

const facts = { project: 'default', isOperator: false, name: '', limits: {} } as const

test('a key is made once, and not while there is an operator', async () => {
  const { keys, keep } = ringOf([])
  const secret = await makeAdmin(keys, keep)
  expect(keys.find(`Bearer ${secret}`)).toMatchObject({ scope: 'admin', isOperator: true })
  expect(await makeAdmin(keys, keep)).toBeUndefined()
})

test('the administrator’s own key is kept once; one that opens less, or nothing, is told', async () => {
  const { keys, keep } = ringOf([])
  await keepAdmin(keys, 'my-own-key', keep)
  await keepAdmin(keys, 'my-own-key', keep)
  expect([...keys.all()]).toMatchObject([{ scope: 'admin', isOperator: true }])

  const taken = keepKey('of-a-client', { ...facts, scope: 'client' })
  const other = ringOf([taken], [keepKey('once-mine', { ...facts, scope: 'admin' }).sha256])
  await other.keys.refresh()
  await expect(keepAdmin(other.keys, 'of-a-client', other.keep)).rejects.toThrow('known as a key of scope client')
  const partly = ringOf([keepKey('of-acme', { ...facts, project: 'acme', scope: 'admin' })], [])
  await partly.keys.refresh()
  await expect(keepAdmin(partly.keys, 'of-acme', partly.keep)).rejects.toThrow('scope admin of the project acme')
  await expect(keepAdmin(other.keys, 'once-mine', other.keep)).rejects.toThrow('was revoked')
})
