import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts', 'benchmarks/**/*.test.ts'],
    testTimeout: 30_000,
    // Hooks start servers.
    hookTimeout: 30_000,
    // ONNX Runtime sessions and worker threads want a process of their own; two, because two cores is the machine we promise.
    pool: 'forks',
    maxWorkers: 2,
  },
})
