import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

it('docs/vulnerabilities.md names tests that exist, and every test of this folder', () => {
  const text = readFileSync('docs/vulnerabilities.md', 'utf8')
  const named = new Set(text.match(/test\/[\w/]+\.test\.ts/g))
  expect(named.size).toBeGreaterThan(20)
  expect([...named].filter((path) => !existsSync(path))).toEqual([])
  const here = readdirSync('test/vulnerabilities').filter((f) => f !== 'list.test.ts')
  expect(here.filter((f) => !named.has(`test/vulnerabilities/${f}`))).toEqual([])
})
