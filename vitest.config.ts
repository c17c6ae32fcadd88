import { defineConfig } from 'vitest/config'

export default defineConfig({
  // The examples name the package as its users do.
  resolve: { alias: { 'fulmen/client': new URL('./src/client/index.ts', import.meta.url).pathname } },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'scripts/core.mjs',
    setupFiles: 'test/setup.ts',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    /** By default one core would be left idle, which is half of a small machine. */
    minWorkers: 1,
    maxWorkers: '100%',
  },
})
