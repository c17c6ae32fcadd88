import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StoreError } from '../../src/store/errors.ts'
import { readSeedFile, sealSecret, unsealSecret, writeSeedFile } from '../../src/store/seal.ts'

const SECRET = 'legal winner thank year wave sausage worth useful legal winner thank yellow'
const CHEAP = { memoryKib: 64, iterations: 1, parallelism: 1 }

const codeOf = (p: Promise<unknown>): Promise<unknown> =>
  p.then(
    () => 'no error',
    (e) => (e instanceof StoreError ? e.code : e),
  )

let sealed: string
beforeAll(async () => {
  sealed = await sealSecret(SECRET, 'correct horse', CHEAP)
})

describe('a seed sealed with a passphrase', () => {
  it('opens with the passphrase and shows nothing of the seed before', async () => {
    for (const word of SECRET.split(' ')) expect(sealed).not.toContain(word)
    expect(await unsealSecret(sealed, 'correct horse')).toBe(SECRET)
  })

  it('takes the passphrase in any Unicode composition', async () => {
    const file = await sealSecret(SECRET, 'caf\u00e9', CHEAP)
    expect(await unsealSecret(file, 'cafe\u0301')).toBe(SECRET)
  })

  it('never repeats salt or nonce', async () => {
    const again = JSON.parse(await sealSecret(SECRET, 'correct horse', CHEAP))
    const first = JSON.parse(sealed)
    expect(again.kdf.salt).not.toBe(first.kdf.salt)
    expect(again.nonce).not.toBe(first.nonce)
  })

  it('names a wrong and a missing passphrase', async () => {
    expect(await codeOf(unsealSecret(sealed, 'wrong horse'))).toBe('WRONG_PASSPHRASE')
    expect(await codeOf(unsealSecret(sealed, ''))).toBe('WRONG_PASSPHRASE')
    expect(await codeOf(unsealSecret(sealed, null))).toBe('SEED_LOCKED')
  })

  it('does not open when its parameters were changed', async () => {
    const file = JSON.parse(sealed)
    file.kdf.iterations = 2
    expect(await codeOf(unsealSecret(JSON.stringify(file), 'correct horse'))).toBe('WRONG_PASSPHRASE')
  })

  it('a file of a newer program is refused as such', async () => {
    const file = { ...JSON.parse(sealed), version: 2 }
    expect(await codeOf(unsealSecret(JSON.stringify(file), 'correct horse'))).toBe('STORE_TOO_NEW')
  })

  it('a cost beyond reason is refused before it takes the memory', async () => {
    const file = JSON.parse(sealed)
    file.kdf.memoryKib = 2 ** 40
    expect(await codeOf(unsealSecret(JSON.stringify(file), 'correct horse'))).toBe('SEED_FILE_INVALID')
  })

  it('any damage gives a typed error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(sealed.length - 1), fc.string({ maxLength: 3 }), async (at, junk) => {
        const damaged = sealed.slice(0, at) + junk + sealed.slice(at + 1)
        const outcome = await unsealSecret(damaged, 'correct horse').catch((e: unknown) => e)
        if (outcome !== SECRET) expect(outcome).toBeInstanceOf(StoreError)
      }),
    )
  })
})

describe('the seed file', () => {
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fulmen-seal-'))
  })
  afterAll(() => rm(dir, { recursive: true }))

  it('is readable by its owner alone, plain or sealed', async () => {
    const plain = join(dir, 'plain', 'seed.json')
    await writeSeedFile(plain, SECRET, null)
    expect((await stat(plain)).mode & 0o777).toBe(0o600)
    expect(await readSeedFile(plain, null)).toEqual({ secret: SECRET, encrypted: false })

    const locked = join(dir, 'seed.json')
    await writeSeedFile(locked, SECRET, 'p')
    expect((await stat(locked)).mode & 0o777).toBe(0o600)
    expect(await readSeedFile(locked, 'p')).toEqual({ secret: SECRET, encrypted: true })
    expect(JSON.parse(await readFile(locked, 'utf8')).kdf).toMatchObject({ memoryKib: 65_536, iterations: 3 })
  })

  it('is null when there is none, and an error when it cannot be read', async () => {
    expect(await readSeedFile(join(dir, 'absent.json'), null)).toBeNull()
    expect(await codeOf(readSeedFile(dir, null))).toBe('STORE_UNREADABLE')
  })
})
