import { FulmenClient } from '../../src/client/index.ts'

/** A node, as a client has it. */
export interface Place {
  readonly url: string
  readonly key: string
}

/** What this process is told to do; it answers with how many payments it made. */
export interface Paying {
  readonly payer: Place
  readonly payee: Place
  readonly inFlight: number
  readonly forMs: number
}

/** Enough for an output of its own: channels keep a record of it for good. */
const AMOUNT_MSAT = 1_000_000

/** Pays as fast as it goes. @throws Error when a payment does not succeed */
async function pay({ payer, payee, inFlight, forMs }: Paying): Promise<number> {
  const [from, to] = [new FulmenClient(payer), new FulmenClient(payee)]
  const end = performance.now() + forMs
  let paid = 0
  const one = async (): Promise<void> => {
    for (; performance.now() < end; paid++) {
      const { bolt11 } = await to.invoices.create({ amountMsat: AMOUNT_MSAT, description: 'bench' })
      const { status, failure } = await from.payments.send({ bolt11 }, { wait: 30 })
      if (status !== 'succeeded') throw new Error(`a payment ${status}: ${failure?.detail}`)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  return paid
}

// Started by fork(). A payment that fails ends it, and with it the measurement.
process.on('message', async (paying: Paying) => void process.send?.(await pay(paying)))
process.on('disconnect', () => process.exit(0)) // whoever started us is gone
process.send?.('ready')
