#!/usr/bin/env node
// Plain JavaScript: this file must run on the Node that the host has, even where that one cannot read TypeScript.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Memory that glibc gives back to the system as soon as it is freed: a model's matrices, of which it would otherwise keep
 * the holes. A tenth less at the peak of PPO (docs/decisions/0005-engine.md).
 */
const memory = process.platform === 'linux' ? { MALLOC_MMAP_THRESHOLD_: '1048576' } : {}

const oldestNode = 24
const isOldNode = Number.parseInt(process.versions.node, 10) < oldestNode

/** The Node binary that npm installed beside us, looked for in this folder and every one above. */
function findInstalledNode() {
  const { platform, arch } = process
  const names = { win32: 'win', darwin: 'darwin', linux: 'linux' }
  const file = platform === 'win32' ? 'node.exe' : 'node'
  const package_ = join('node_modules', `node-${names[platform]}-${arch}`, 'bin', file)
  // .bin/node is a shell script on Windows, which spawn cannot start.
  const candidates = platform === 'win32' ? [package_] : [join('node_modules', '.bin', 'node'), package_]
  let folder = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    for (const candidate of candidates) {
      const path = join(folder, candidate)
      if (existsSync(path)) return path
    }
    if (dirname(folder) === folder) return undefined
    folder = dirname(folder)
  }
}

/** Runs this file again with another Node: same arguments, same terminal, signals and exit status passed on. */
function runWith(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...memory, ...process.env, PLUMBLINE_NODE: node },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`cannot start ${node}: ${error.message}.`))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

function fail(message) {
  process.stderr.write(`error[NODE_VERSION]: ${message}\n`)
  process.exit(1)
}

if (!isOldNode && Object.keys(memory).some((name) => process.env[name] === undefined)) {
  // glibc reads it when a process starts. The process stays the same one: no child, no second to wait for.
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    ...memory,
    ...process.env,
  })
} else if (!isOldNode) {
  nodeModule.enableCompileCache()
  await import('../src/main.ts')
} else {
  const node = process.env.PLUMBLINE_NODE === undefined ? findInstalledNode() : undefined
  if (node === undefined) {
    fail(
      `Plumbline needs Node ${oldestNode} or later, this is ${process.versions.node}. Run npm ci, which brings one on most platforms, or install it.`,
    )
  } else {
    runWith(node)
  }
}
