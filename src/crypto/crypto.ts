import { createCoreProvider } from './core.ts'
import { nobleProvider } from './noble.ts'
import type { CryptoProvider } from './provider.ts'
import { selfTest } from './selfTest.ts'

/** The WASM core where it runs and passes its known answers, else noble with a warning: slower, never wrong. */
function choose(): CryptoProvider {
  let why: string
  try {
    const core = createCoreProvider()
    const failed = selfTest(core)
    if (failed === null) return core
    why = `it failed its self-test: ${failed}`
  } catch (e) {
    why = e instanceof Error ? e.message : String(e)
  }
  process.emitWarning(
    `WASM crypto is not used (${why}); the node runs on the slower JavaScript fallback`,
    'FulmenCrypto',
  )
  const failed = selfTest(nobleProvider)
  if (failed !== null) throw new Error(`no crypto provider passes its self-test: ${failed}`)
  return nobleProvider
}

/** The provider of this process, chosen once after a known-answer self-test. */
export const crypto: CryptoProvider = choose()
