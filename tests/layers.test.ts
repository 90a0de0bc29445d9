import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

/** Who may import whom: each package and the ones below it. A new package is a new line here. */
const below: Readonly<Record<string, readonly string[]>> = {
  contracts: [],
  engine: ['contracts'],
  models: ['contracts', 'engine'],
  evals: ['contracts', 'engine', 'models'],
  align: ['contracts', 'engine', 'models', 'evals'],
  store: ['contracts'],
  gateway: ['contracts', 'evals', 'store'],
  inference: ['contracts', 'models', 'gateway'],
  server: ['contracts', 'engine', 'evals', 'store', 'monitor', 'gateway'],
  monitor: ['contracts', 'engine', 'models', 'evals', 'store'],
  dashboard: ['contracts'],
  plumbline: [
    ...['contracts', 'engine', 'models', 'evals', 'align', 'store', 'gateway', 'inference', 'server', 'monitor'],
    'dashboard',
  ],
}

interface Import {
  readonly file: string
  readonly from: string
  readonly target: string
}

const root = resolve(import.meta.dirname, '..')
const packagesFolder = join(root, 'packages')
// Static and dynamic imports, re-exports; type imports too, as a type is a dependency.
const importPattern = /(?:^|[\s;}])(?:(?:import|export)\s[^'"();]*?from\s*|import\s*|import\()\s*['"]([^'"\n]+)['"]/g

function importsOf(name: string): Import[] {
  const folder = join(packagesFolder, name, 'src')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => /\.tsx?$/.test(file))
  return files.flatMap((file) => {
    const path = join(folder, file)
    const targets = [...readFileSync(path, 'utf8').matchAll(importPattern)].map(([, target]) => target)
    return targets.map((target) => ({ file: relative(root, path), from: name, target }))
  })
}

/** Whether a package offers a path beside its index, such as align's `./config`. */
function isExported(name: string, path: string): boolean {
  const { exports } = JSON.parse(readFileSync(join(packagesFolder, name, 'package.json'), 'utf8'))
  return `.${path}` in exports
}

/** What is wrong with an import, undefined when nothing is. */
function fault({ file, from, target }: Import): string | undefined {
  const show = (reason: string) => `${file} imports ${target}: ${reason}`
  if (target.startsWith('.')) {
    const path = resolve(root, dirname(file), target)
    return path.startsWith(join(packagesFolder, from)) ? undefined : show('leaves its package')
  }
  if (from === 'contracts' && isBuiltin(target) && !file.endsWith('.test.ts')) return show('contracts runs anywhere')
  const [, own, rest] = /^(?:@plumbline\/)?([^/]+)(\/.*)?$/.exec(target) ?? []
  if (!target.startsWith('@plumbline/') && own !== 'plumbline') return undefined
  if (rest !== undefined && !isExported(own, rest)) return show('reaches past its exports')
  return below[from].includes(own) ? undefined : show(`${own} is not below ${from}`)
}

test('imports point down only', () => {
  expect(readdirSync(packagesFolder).sort()).toEqual(Object.keys(below).sort())
  const imports = Object.keys(below).flatMap(importsOf)
  // Fewer would mean that the pattern or the folders no longer match, and the test checks nothing.
  expect(imports.length).toBeGreaterThan(200)
  for (const name of ['engine', 'models', 'plumbline']) expect(importsOf(name).length, name).toBeGreaterThan(0)
  expect(imports.map(fault).filter((found) => found !== undefined)).toEqual([])
})

test('each kind of wrong import is caught', () => {
  const wrong = (from: string, target: string) => fault({ file: `packages/${from}/src/a.ts`, from, target })
  expect(wrong('engine', '@plumbline/models')).toContain('models is not below engine')
  expect(wrong('models', '@plumbline/engine/src/parameter.ts')).toContain('reaches past its exports')
  expect(wrong('engine', '../../models/src/index.ts')).toContain('leaves its package')
  expect(wrong('models', 'plumbline')).toContain('plumbline is not below models')
  expect(wrong('contracts', 'node:fs')).toContain('runs anywhere')
  expect(wrong('models', '@plumbline/engine')).toBeUndefined()
  expect(wrong('engine', 'node:fs')).toBeUndefined()
})
