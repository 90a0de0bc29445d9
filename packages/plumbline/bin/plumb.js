#!/usr/bin/env node
// Plain JavaScript: this file must run on the Node that the host has, even where that one cannot read TypeScript.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Matrices that are freed go back to the system at once; glibc would keep the holes, for a model 0.2 to 0.4 GB
 * (docs/decisions/0005-engine.md). The second says that the process knows, where glibc is not let see the first.
 */
const memory = { MALLOC_MMAP_THRESHOLD_: '1048576', PLUMBLINE_MEMORY: 'given back' }

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
    env: { ...process.env, PLUMBLINE_NODE: node },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`cannot start ${node}: ${error.message}.`))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

function fail(message) {
  process.stderr.write(`error[NODE_VERSION]: ${message}\n`)
  process.exit(1)
}

/** Those who hold several models at once. Others are not made to wait for a second start. */
const trainers = ['align', 'sft', 'reward', 'ppo']

/** Starts this process over, since glibc reads its settings at the start. It stays the same process: no child. */
function startOver() {
  const { platform, env, connected, execPath, execArgv, argv } = process
  const command = argv.slice(2).find((word) => !word.startsWith('-'))
  if (
    !trainers.includes(command) ||
    platform !== 'linux' ||
    connected ||
    Object.keys(memory).some((name) => env[name] !== undefined)
  )
    return
  try {
    process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], { ...memory, ...env })
  } catch {
    // Node's --permission forbids it: then with more memory.
  }
}

if (!isOldNode) {
  startOver()
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
