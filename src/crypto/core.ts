import { randomBytes } from 'node:crypto'
import { blinding, coreDerivations, corePublic, coreSecrets } from './coreCurve.ts'
import { coreCiphers, coreHashes } from './coreHashes.ts'
import { exchangeOf, loadCore } from './coreModule.ts'
import { coreOnion } from './coreOnion.ts'
import type { CryptoProvider } from './provider.ts'
import { batchVerifier } from './verifyAll.ts'

/**
 * The crypto core of src/crypto/core/, compiled to WASM. Secrets are wiped from its memory before a call returns.
 * @param random for tests
 * @throws when WebAssembly or the compiled file is not to be had
 */
export function createCoreProvider(loaded = loadCore(), random = randomBytes): CryptoProvider {
  const exchange = exchangeOf(loaded)
  const spendBlinding = blinding(exchange, random)
  const primitives = {
    name: 'core',
    ...coreHashes(exchange),
    ...coreCiphers(exchange),
    ...coreSecrets(exchange, spendBlinding),
    ...corePublic(exchange),
  }
  return {
    ...primitives,
    ...coreDerivations(exchange),
    ...coreOnion(exchange, { primitives, spendBlinding }),
    ecdsaVerifyAll: batchVerifier(loaded),
  }
}
