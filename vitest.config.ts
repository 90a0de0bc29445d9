import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The long ones first: one that begins last would run alone on one of the two cores. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) => /\/tests\/(e2e|trainers)\//.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts', 'benchmarks/**/*.test.ts'],
    // Processes that tests start read what an earlier one compiled: compiling is up to half of their start.
    env: { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(tmpdir(), 'plumbline-tests-compiled') },
    setupFiles: ['tests/fixed-seed.ts'],
    testTimeout: 30_000,
    // Hooks start servers.
    hookTimeout: 30_000,
    // ONNX Runtime sessions and worker threads want a process of their own; two, because two cores is the machine we promise.
    pool: 'forks',
    // A process for each file, which reads all modules anew, is a quarter of the time of all tests.
    isolate: false,
    // PGlite's WebAssembly is compiled once, quickly: compiling it better pays only for tests that are made long.
    execArgv: process.env.PLUMBLINE_TENANT_CALLS ? [] : ['--liftoff-only'],
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
  },
})
