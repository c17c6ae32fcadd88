import { crypto } from '../../src/crypto/crypto.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'

/** So many answers of a kind are kept before all are forgotten. */
const MOST = 60_000

const text = (b: Uint8Array | null): string =>
  b ? Buffer.from(b.buffer, b.byteOffset, b.length).toString('latin1') : '-'

/**
 * What the crypto core has worked out, kept: schedules that share a history ask for the same signatures and keys again, and a verifier
 * of scripts for what a peer has checked before. Each is a function of its arguments alone, so nothing is taken for granted.
 */
class Recall<T> {
  readonly #known = new Map<string, T>()
  of(key: string, work: () => T): T {
    const known = this.#known.get(key)
    if (known !== undefined) return known
    if (this.#known.size >= MOST) this.#known.clear()
    const value = work()
    this.#known.set(key, value)
    return value
  }
}

/** Puts a memory in front of the slowest operations of this process's crypto core. */
export function recallCrypto(): void {
  const core: CryptoProvider = { ...crypto }
  const signed = new Recall<Uint8Array>()
  const verified = new Recall<boolean>()
  const publicKeys = new Recall<Uint8Array>()
  const commitmentKeys = new Recall<Uint8Array[] | null>()
  const verify = (s: Uint8Array, h: Uint8Array, k: Uint8Array): boolean =>
    verified.of(text(s) + text(h) + text(k), () => core.ecdsaVerify(s, h, k))
  // That what was signed here verifies is for the tests of the core: what is signed, and whose key is asked for, is ours to get wrong.
  const sign = (hash: Uint8Array, secret: Uint8Array): Uint8Array => {
    const signature = core.ecdsaSign(hash, secret)
    const publicKey = publicKeys.of(text(secret), () => core.publicKey(secret))
    verified.of(text(signature) + text(hash) + text(publicKey), () => true)
    return signature
  }
  Object.assign(crypto, {
    ecdsaSign: (hash, secret, options) =>
      options === undefined
        ? signed.of(text(hash) + text(secret), () => sign(hash, secret)).slice()
        : core.ecdsaSign(hash, secret, options),
    ecdsaVerify: verify,
    ecdsaVerifyAll: (signatures, hashes, keys) =>
      signatures.findIndex((s, i) => !verify(s, hashes[i]!, keys instanceof Uint8Array ? keys : keys[i]!)),
    commitmentKeys: (point, basepoints, revocation) =>
      commitmentKeys.of(`${text(point)}${basepoints.map(text).join('')}|${text(revocation)}`, () =>
        core.commitmentKeys(point, basepoints, revocation),
      ),
  } satisfies Partial<CryptoProvider>)
}
