import { Agent, get } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { round } from '../harness.ts'
import type { Paying, Place } from './payers.ts'
import { giveWay } from './priority.ts'
import { Program } from './program.ts'

/** Payments under way at a time: what a quiet shop has, and as many as the node can take. */
const LOADS = [1, 20] as const
const WARM_UP_MS = 3_000
const LOAD_MS = 20_000
/** Between an answer and the next question. */
const PAUSE_MS = 3

export interface Quantiles {
  readonly medianMs: number
  readonly p99Ms: number
}

/** What answers took while payments were under way: those of the node that pays, and those of a bare server beside the same load. */
export interface Answers {
  readonly inFlight: number
  readonly paidPerSecond: number
  readonly node: Quantiles
  readonly bare: Quantiles
}

/** @param taken ms */
export function quantiles(taken: readonly number[]): Quantiles {
  const sorted = taken.toSorted((a, b) => a - b)
  const quantile = (q: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!, 1)
  return { medianMs: quantile(0.5), p99Ms: quantile(0.99) }
}

/**
 * Who pays and the bare server, each in a process of its own, so that this one does nothing but ask. The payers give way, as the rest
 * of the load has to: with a real node the others who take part in a payment have other machines.
 */
export class Questions {
  readonly #payers: Program
  readonly #bare: Program
  readonly #bareUrl: string
  /** Whether the payers' priority could be lowered. */
  readonly payersGiveWay: boolean

  private constructor(payers: Program, bare: Program, bareUrl: string) {
    this.#payers = payers
    this.#bare = bare
    this.#bareUrl = bareUrl
    this.payersGiveWay = giveWay(payers.pid)
  }

  /** @param answer what the bare server says: it has the size of the node's own */
  static async start(answer: unknown): Promise<Questions> {
    const payers = new Program('./payers.js')
    await payers.said()
    const bare = new Program('./bare.js', [JSON.stringify(answer)])
    return new Questions(payers, bare, await bare.said())
  }

  /** @returns how many payments were made */
  pay({ payer, payee, ...load }: Paying): Promise<number> {
    this.#payers.tell({ ...load, payer: placeOf(payer), payee: placeOf(payee) } satisfies Paying)
    return this.#payers.said()
  }

  /** Asks both in turn, beside each load. */
  async ask(payer: Place, payee: Place): Promise<readonly Answers[]> {
    const all: Answers[] = []
    for (const inFlight of LOADS) {
      await this.pay({ payer, payee, inFlight, forMs: WARM_UP_MS })
      const [paid, taken] = await Promise.all([
        this.pay({ payer, payee, inFlight, forMs: LOAD_MS }),
        askInTurn([payer, { url: this.#bareUrl, key: payer.key }]),
      ])
      const [node, bare] = taken.map(quantiles)
      all.push({ inFlight, paidPerSecond: round(paid / (LOAD_MS / 1000), 0), node: node!, bare: bare! })
    }
    return all
  }

  stop(): void {
    this.#payers.stop()
    this.#bare.stop()
  }
}

const placeOf = ({ url, key }: Place): Place => ({ url, key })

/** @returns ms that each answer took, of each place */
async function askInTurn(places: readonly Place[]): Promise<readonly number[][]> {
  const agent = new Agent({ keepAlive: true })
  const asked = places.map((place) => ({ place, taken: [] as number[] }))
  for (const until = performance.now() + LOAD_MS; performance.now() < until; ) {
    for (const { place, taken } of asked) {
      taken.push(await askOnce(place, agent))
      await setTimeout(PAUSE_MS)
    }
  }
  agent.destroy()
  return asked.map(({ taken }) => taken)
}

/**
 * With the least client that Node.js has: `fetch` takes 2 ms and more at p99 on an idle machine, by itself.
 * @returns ms until the last byte of the answer
 */
function askOnce({ url, key }: Place, agent: Agent): Promise<number> {
  const begun = performance.now()
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${key}` }
    const request = get(`${url}/v1/node`, { agent, headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`GET /v1/node answered ${response.statusCode}`))
      response.resume().once('end', () => resolve(performance.now() - begun))
    })
    request.once('error', reject)
  })
}
