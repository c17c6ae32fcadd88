import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { run, withoutVariables } from './run.ts'

beforeEach(withoutVariables)
afterEach(() => vi.unstubAllEnvs())

const fulmen = run

describe('fulmen seed', () => {
  const WORDS = `${'abandon '.repeat(23)}art`
  const seedFolder = async () => mkdtemp(join(tmpdir(), 'fulmen-seed-'))
  const withInput = async (text: string, ...args: string[]) => {
    const { Readable } = await import('node:stream')
    const input = vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([Buffer.from(text)]) as never)
    try {
      return await fulmen(...args)
    } finally {
      input.mockRestore()
    }
  }

  it('restores words, shows them, encrypts them, and refuses to overwrite', async () => {
    const dir = await seedFolder()
    const passphrase = join(dir, 'p')
    await writeFile(passphrase, 'correct horse\n')
    const at = ['--data-dir', dir]
    expect(await withInput(`  ${WORDS.toUpperCase()}\n`, ...at, 'seed', 'restore')).toMatchObject({ code: 0 })
    expect((await fulmen(...at, 'seed', 'show')).out).toBe(`${WORDS}\n`)
    expect(await withInput(WORDS, ...at, 'seed', 'restore')).toMatchObject({
      code: 1,
      err: expect.stringContaining('already'),
    })

    expect(await fulmen(...at, 'seed', 'passphrase')).toMatchObject({
      code: 1,
      err: expect.stringContaining('--new-passphrase-file'),
    })
    expect((await fulmen(...at, 'seed', 'passphrase', '--new-passphrase-file', passphrase)).code).toBe(0)
    expect(await readFile(join(dir, 'seed'), 'utf8')).not.toContain('abandon')
    expect(await fulmen(...at, 'seed', 'show')).toMatchObject({ code: 1, err: expect.stringContaining('SEED_LOCKED') })
    expect((await fulmen(...at, 'seed', 'show', '--passphrase-file', passphrase)).out).toBe(`${WORDS}\n`)
    expect((await fulmen(...at, 'seed', 'passphrase', '--passphrase-file', passphrase, '--remove')).code).toBe(0)
    expect((await fulmen(...at, 'seed', 'show')).out).toBe(`${WORDS}\n`)
    await rm(dir, { recursive: true })
  })

  it('refuses words that are none, and says where a seed is missing', async () => {
    const dir = await seedFolder()
    const at = ['--data-dir', dir]
    expect(await withInput('abandon abandon', ...at, 'seed', 'restore')).toMatchObject({
      code: 1,
      err: expect.stringContaining('2 words'),
    })
    expect(await fulmen(...at, 'seed', 'show')).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no seed at'),
    })
    await rm(dir, { recursive: true })
  })
})
