import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')

/**
 * Builds the program as it is now, for tests that run it in processes of its own.
 * @param name of the build: one for each test file, since files run side by side
 * @returns the path of main.js
 */
export function buildProgram(name: string): string {
  // Inside node_modules, so that the build finds its packages.
  const directory = join(ROOT, 'node_modules/.cache/fulmen-e2e', name)
  mkdirSync(directory, { recursive: true })
  copyFileSync(join(ROOT, 'package.json'), join(directory, 'package.json'))
  cpSync(join(ROOT, 'build'), join(directory, 'build'), { recursive: true }) // the crypto core, compiled before the tests
  const tsc = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')
  const options = ['--outDir', join(directory, 'dist'), '--declaration', 'false', '--sourceMap', 'false']
  execFileSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json'), ...options], { stdio: 'pipe' })
  execFileSync(process.execPath, [join(ROOT, 'scripts/dashboard.mjs'), join(directory, 'dist')], { stdio: 'pipe' })
  return join(directory, 'dist/cli/main.js')
}
