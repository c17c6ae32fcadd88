import type { randomBytes } from 'node:crypto'
import type { Exchange } from './coreModule.ts'
import { CryptoError } from './errors.ts'
import type { Composites, Primitives, SignOptions } from './provider.ts'

/** The longest message of a Schnorr signature, as core/schnorr.ts has it. */
const MOST_MESSAGE = 4096

/** How many secret multiplications share one blinding. */
const BLINDING_LASTS = 1024

/** Not a public key. */
const NO_POINT = new Uint8Array(33)

const need32 = (bytes: Uint8Array, what: string): void => {
  if (bytes.length !== 32) throw new CryptoError(`the ${what} has ${bytes.length} bytes, not 32`)
}

/** What secret multiplications are blinded with is replaced now and then. Returns what spends one use of it. */
export function blinding({ core, put, forget, A }: Exchange, random: typeof randomBytes): () => void {
  let left = 0
  const spend = (): void => {
    if (left-- > 0) return
    do put(A, random(64))
    while (core.blind(A) === 0)
    forget()
    left = BLINDING_LASTS
  }
  spend()
  return spend
}

type WithSecrets = Pick<
  Primitives,
  | 'isValidSecret'
  | 'publicKey'
  | 'ecdsaSign'
  | 'ecdsaSignRecoverable'
  | 'ecdh'
  | 'schnorrPublicKey'
  | 'schnorrSign'
  | 'secretAdd'
  | 'secretMul'
>
type OfPublic = Pick<
  Primitives,
  'isValidPublicKey' | 'ecdsaVerify' | 'ecdsaRecover' | 'schnorrVerify' | 'pointAdd' | 'pointAddTweak' | 'pointMul'
>

/** Operations on secrets, in constant time; nothing of a secret stays in the module's memory. */
export function coreSecrets(x: Exchange, spendBlinding: () => void): WithSecrets {
  const { core, u8, put, secretOut, forget, OUT, A, B, DATA } = x
  const needSecret = (valid: boolean): void => {
    if (valid) return
    forget()
    throw new CryptoError('not a valid secret key')
  }
  const sign = signer(x, spendBlinding, needSecret)
  return {
    isValidSecret(secret) {
      if (secret.length !== 32) return false
      const valid = core.isScalar(put(A, secret))
      u8.fill(0, A, A + 32)
      return valid === 1
    },
    publicKey(secret) {
      spendBlinding()
      needSecret(secret.length === 32 && core.publicKey(OUT, put(A, secret)) === 1)
      return secretOut(33)
    },
    ecdsaSign(hash, secret, options) {
      sign(hash, secret, options)
      return secretOut(64)
    },
    ecdsaSignRecoverable(hash, secret) {
      const recoveryId = sign(hash, secret)
      return { signature: secretOut(64), recoveryId }
    },
    ecdh(secret, publicKey) {
      spendBlinding()
      // a key of another length than 33 is no point, and is judged as one that is not on the curve
      const answer =
        secret.length === 32
          ? core.ecdh(OUT, put(A, publicKey.length === 33 ? publicKey : NO_POINT), 33, put(B, secret))
          : -1
      needSecret(answer >= 0)
      const shared = secretOut(32)
      return answer === 1 ? shared : null
    },
    schnorrPublicKey(secret) {
      spendBlinding()
      needSecret(secret.length === 32 && core.schnorrKey(OUT, put(A, secret)) === 1)
      return secretOut(32)
    },
    schnorrSign(message, secret, auxiliary) {
      need32(auxiliary, 'auxiliary randomness')
      if (message.length > MOST_MESSAGE)
        throw new CryptoError(`a message of ${message.length} bytes is too long to sign`)
      spendBlinding()
      const at = put(DATA, message)
      const valid =
        secret.length === 32 && core.signSchnorr(OUT, at, message.length, put(A, secret), put(B, auxiliary)) === 1
      needSecret(valid)
      return secretOut(64)
    },
    secretAdd(a, b) {
      const some = a.length === 32 && b.length === 32 && core.secretAdd(OUT, put(A, a), put(B, b)) === 1
      const sum = secretOut(32)
      return some ? sum : null
    },
    secretMul(a, b) {
      const some = a.length === 32 && b.length === 32 && core.secretMul(OUT, put(A, a), put(B, b)) === 1
      const product = secretOut(32)
      return some ? product : null
    },
  }
}

/** Leaves a signature at OUT and returns its recovery id. */
function signer(
  { core, put, OUT, A, B, C }: Exchange,
  spendBlinding: () => void,
  needSecret: (valid: boolean) => void,
) {
  return (hash: Uint8Array, secret: Uint8Array, { extraEntropy, lowR }: SignOptions = {}): number => {
    need32(hash, 'hash to sign')
    if (extraEntropy !== undefined) need32(extraEntropy, 'extra entropy')
    spendBlinding()
    const extra = extraEntropy === undefined ? 0 : put(C, extraEntropy)
    const id = secret.length === 32 ? core.sign(OUT, put(A, hash), put(B, secret), extra, lowR === true ? 1 : 0) : -1
    needSecret(id >= 0)
    return id
  }
}

/** Operations on public values, as fast as they can be. */
export function corePublic({ core, put, out, secretOut, OUT, A, B, C, DATA }: Exchange): OfPublic {
  return {
    isValidPublicKey: (key) => key.length === 33 && core.isPoint(put(A, key), 33) === 1,
    ecdsaVerify: (signature, hash, publicKey) =>
      signature.length === 64 &&
      hash.length === 32 &&
      publicKey.length === 33 &&
      core.verify(put(A, signature), put(B, hash), put(C, publicKey), 33, 1) === 1,
    ecdsaRecover: (signature, recoveryId, hash) =>
      signature.length === 64 &&
      hash.length === 32 &&
      (recoveryId & 3) === recoveryId &&
      core.recover(OUT, put(A, signature), recoveryId, put(B, hash)) === 1
        ? out(33)
        : null,
    schnorrVerify: (signature, message, publicKey) =>
      signature.length === 64 &&
      publicKey.length === 32 &&
      message.length <= MOST_MESSAGE &&
      core.verifySchnorr(put(A, signature), put(DATA, message), message.length, put(B, publicKey)) === 1,
    pointAdd: (p, q) =>
      p.length === 33 && q.length === 33 && core.addPoints(OUT, put(A, p), 33, put(B, q), 33) === 1 ? out(33) : null,
    pointAddTweak: (p, t) =>
      p.length === 33 && t.length === 32 && core.addTweak(OUT, put(A, p), 33, put(B, t)) === 1 ? out(33) : null,
    pointMul(p, k) {
      const some = p.length === 33 && k.length === 32 && core.multiplyPublic(OUT, put(A, p), 33, put(B, k)) === 1
      const product = secretOut(33)
      return some ? product : null
    },
  }
}

/** What BOLT 3 derives over and over, in one call each. */
export function coreDerivations({
  core,
  u8,
  put,
  secretOut,
  OUT,
  A,
  DATA,
}: Exchange): Pick<Composites, 'commitmentKeys' | 'chainSecret'> {
  return {
    commitmentKeys(point, basepoints, revocationBasepoint) {
      const count = basepoints.length
      const inputs = revocationBasepoint === null ? basepoints : [...basepoints, revocationBasepoint]
      if (count > 4 || point.length !== 33 || inputs.some((b) => b.length !== 33)) return null
      for (const [i, b] of inputs.entries()) put(DATA + 33 * i, b)
      const revocation = revocationBasepoint === null ? 0 : DATA + 33 * count
      if (core.commitmentKeys(DATA, put(A, point), DATA, count, revocation) === 0) return null
      return inputs.map((_, i) => u8.slice(DATA + 33 * i, DATA + 33 * i + 33))
    },
    chainSecret(secret, bits, index) {
      need32(secret, 'node of the secret chain')
      core.chainSecret(put(OUT, secret), bits, Math.floor(index / 2 ** 32), index % 2 ** 32)
      return secretOut(32)
    },
  }
}
