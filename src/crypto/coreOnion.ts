import { composites } from './composites.ts'
import type { Exchange } from './coreModule.ts'
import { CryptoError } from './errors.ts'
import type { Composites, Primitives } from './provider.ts'

/** The most bytes of payloads that are peeled inside the core; an onion message may have more, and goes step by step. */
const MOST_PAYLOADS = 4_096
const MOST_AD = 64

/** One layer of an onion in one call. Everything secret is wiped. */
export function coreOnion(
  exchange: Exchange,
  { primitives, spendBlinding }: { primitives: Primitives; spendBlinding: () => void },
): Pick<Composites, 'peelLayer'> {
  const { core, u8, put, forget, OUT, A, B, C, DATA } = exchange
  const { peelLayer: bySteps } = composites(primitives)
  return {
    peelLayer(nodeSecret, layer) {
      const { ephemeralKey, payloads, associatedData, hmac } = layer
      const { length } = payloads
      if (
        length > MOST_PAYLOADS ||
        associatedData.length > MOST_AD ||
        ephemeralKey.length !== 33 ||
        hmac.length !== 32
      ) {
        return bySteps(nodeSecret, layer)
      }
      spendBlinding()
      put(DATA, payloads)
      put(DATA + length, associatedData)
      const secret = nodeSecret.length === 32 ? put(B, nodeSecret) : 0
      const answer =
        secret === 0
          ? -2
          : core.peelLayer(OUT, put(A, ephemeralKey), secret, DATA, length, associatedData.length, put(C, hmac))
      const sharedSecret = u8.slice(OUT, OUT + 32)
      const unwrapped = answer === 1 ? u8.slice(DATA, DATA + 2 * length) : null
      forget()
      u8.fill(0, DATA, DATA + Math.max(2 * length, length + associatedData.length))
      if (answer === -2) throw new CryptoError('not a valid secret')
      return answer === -1 ? null : { sharedSecret, unwrapped }
    },
  }
}
