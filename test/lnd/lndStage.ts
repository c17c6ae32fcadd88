import { randomBytes } from 'node:crypto'
import { toHex } from '../../src/base/bytes.ts'
import { paymentHash } from '../../src/base/ids.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { Counterpart, Neighbour, Outcome, Stage } from '../interop/stage.ts'
import type { FeeService } from './feeService.ts'
import { invoiceOf, newSecret } from './held.ts'
import type { Lnd } from './lnd.ts'
import { type Answer, base64 } from './rest.ts'
import type { World } from './world.ts'

/** bLIP 3. */
const KEYSEND_RECORD = 5482373484
/** LND tries a payment for so long; what has gone out by then is waited for all the same. */
const TRIES_S = 120
/**
 * LND may have to start again several times; and where it fails a link over an error of its own without a word, as when it settles once more,
 * after a start, what it has settled before (htlcswitch/link.go, processRemoteAdds), our node makes a new connection after a minute or two.
 */
const UNTIL_MS = 240_000
/** What LND says of a payment of its own. */
const OUTCOMES: Readonly<Record<string, Outcome>> = { SUCCEEDED: 'succeeded', FAILED: 'failed' }

/** An LND as the counterpart of lives, or two. @param fees what they ask about fees */
export function lndStage(w: World, lnd: Lnd, fees: FeeService, erin?: Lnd): Stage {
  return {
    ...neighbour(w, lnd, fees),
    ...(erin && { erin: neighbour(w, erin, fees) }),
    us: w.us,
    mine: () => w.mine(),
    setFeerate: (feeratePerKw) => {
      w.estimates.feerate = feeratePerKw
    },
    until: (what, isTrue) => w.until(what, isTrue, UNTIL_MS),
  }
}

const neighbour = (w: World, lnd: Lnd, fees: FeeService): Neighbour => ({
  them: counterpart(w, lnd, fees),
  link: w.links.get(lnd)!,
  isConnected: () => w.isConnected(lnd),
  connect: () => w.connect(lnd),
})

function counterpart(w: World, lnd: Lnd, fees: FeeService): Counterpart {
  /** Of held invoices of LND's. */
  const preimages = new Map<string, Uint8Array>()
  const outcomes = outcomesOf(lnd)
  const kill = async (): Promise<void> => {
    await lnd.halt('SIGKILL')
    await lnd.restart()
  }
  const faults = new Faults(kill)
  const send = async (request: Answer) => {
    const stream = w.lndBegins(lnd, { timeout_seconds: TRIES_S, ...request })
    const { payment_hash: hash } = await stream.find(() => true)
    stream.close()
    return { id: hash, hash }
  }
  return {
    nodeId: lnd.nodeId,
    seesUs: async () => (await lnd.rest.get('/v1/peers')).peers.some((p: Answer) => p.pub_key === w.us.nodeId),
    invoice: async (amountMsat, isHeld) => {
      const terms = { value_msat: amountMsat, private: true }
      for (;;) {
        const { hash, preimage } = newSecret()
        const [path, more] = isHeld ? ['/v2/invoices/hodl', { hash: base64(hash) }] : ['/v1/invoices', {}]
        const added = lnd.rest.post(path, { ...terms, ...more })
        if (!(await faults.orHung(added))) continue
        if (isHeld) preimages.set(hash, preimage)
        return (await added).payment_request
      }
    },
    pay: (bolt11) => send({ payment_request: bolt11 }),
    keysend: (payee, amountMsat) => {
      const preimage = new Uint8Array(randomBytes(32))
      return send({
        ...{ dest: base64(payee), amt_msat: amountMsat, payment_hash: base64(toHex(crypto.sha256(preimage))) },
        dest_custom_records: { [KEYSEND_RECORD]: base64(toHex(preimage)) },
      })
    },
    decide: async (hash, settle) => {
      if ((await invoiceOf(lnd, paymentHash(hash))).state !== 'ACCEPTED') return false
      if (!settle) return faults.orHung(lnd.rest.post(CANCEL, { payment_hash: base64(hash) }))
      return faults.orHung(lnd.rest.post('/v2/invoices/settle', { preimage: base64(toHex(preimages.get(hash)!)) }))
    },
    refuse: async (hash) => {
      await faults.orHung(lnd.rest.post(CANCEL, { payment_hash: base64(hash) }).catch(ifOver))
    },
    outcome: async ({ hash }) => (faults.endless.has(hash) ? 'failed' : outcomes(hash)),
    isReceived: async (hash) => (await invoiceOf(lnd, paymentHash(hash))).state === 'SETTLED',
    hangUp: async () => void (await lnd.rest.delete(`/v1/peers/${w.us.nodeId}`).catch(ifNotConnected)),
    setFeerate: async (feeratePerKw) => {
      fees.feerate = feeratePerKw
    },
    kill,
    recover: (lost) => faults.lose(lost),
  }
}

const CANCEL = '/v2/invoices/cancel'

const ifOver = (e: Error): void => {
  if (!/already (settled|canceled)/.test(e.message)) throw e
}
const ifNotConnected = (e: Error): void => {
  if (!/not connected/.test(e.message)) throw e
}

/** What LND says of payments, by hash; those who ask at once share one answer. */
function outcomesOf(lnd: Lnd): (hash: string) => Promise<Outcome> {
  let asked: Promise<ReadonlyMap<string, Outcome>> | null = null
  const ask = async () => {
    const { payments } = await lnd.rest.get('/v1/payments?include_incomplete=true&reversed=true&max_payments=1000')
    return new Map<string, Outcome>(payments.map((p: Answer) => [p.payment_hash, OUTCOMES[p.status] ?? 'pending']))
  }
  return async (hash) => {
    asked ??= ask().finally(() => {
      asked = null
    })
    return (await asked).get(hash)!
  }
}

/** Faults of LND's own that end with a restart of it, or never. */
class Faults {
  /** Payments of LND's that it waits for without end, and that nobody has. */
  readonly endless = new Set<string>()
  readonly #restart: () => Promise<void>
  /** One for all calls that wait in vain at the same time. */
  #restarting: Promise<void> | null = null
  #restarts = 0
  /** Those that one restart has not ended. */
  readonly #sought = new Set<string>()

  constructor(restart: () => Promise<void>) {
    this.#restart = restart
  }

  /**
   * LND's invoices wait without end for a link that was told of one and has ended meanwhile, and all links for them
   * (invoices/invoiceregistry.go, notifyHodlSubscribers).
   * @returns false when it had to start again
   */
  async orHung(asked: Promise<unknown>): Promise<boolean> {
    const before = this.#restarts
    return asked.then(
      () => true,
      async (e: Error) => {
        // One that began later than another, which has LND start again, ends with its connection.
        if (!/no answer in/.test(e.message) && this.#restarts === before) throw e
        if (this.#restarts === before) {
          this.#restarts++
          this.#restarting = this.#restart()
        }
        await this.#restarting
        return false
      },
    )
  }

  /**
   * What a link that ends with its channel's close was passing on to the switch is heard of after a restart (htlcswitch/link.go,
   * forwardBatch). Of an HTLC that was still unsigned when LND died nothing is heard any more (htlcswitch/circuit_map.go: its circuit stays
   * half open): that payment is in flight for good.
   */
  async lose(lost: readonly string[]): Promise<boolean> {
    const known = lost.filter((hash) => this.#sought.has(hash))
    for (const hash of known) this.endless.add(hash)
    if (known.length === lost.length) return known.length > 0
    for (const hash of lost) this.#sought.add(hash)
    await this.#restart()
    return true
  }
}
