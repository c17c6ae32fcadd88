import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const at = (path: string): URL => new URL(`../../${path}`, import.meta.url)

it.each(['fieldMul', 'ripemd160'])('%s.ts of the crypto core is what its generator writes', async (name) => {
  const { text } = await import(at(`scripts/generate/${name}.mjs`).href)
  expect(text).toBe(readFileSync(at(`src/crypto/core/${name}.ts`), 'utf8'))
})
