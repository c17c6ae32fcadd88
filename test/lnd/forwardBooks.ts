import type { ForwardView } from '../../src/node/analytics/views.ts'
import type { ChannelView } from '../../src/node/service.ts'
import type { Payment } from '../interop/life.ts'
import type { Answer } from './rest.ts'
import { outpointText, satOf, type World } from './world.ts'

/** What our node, two LNDs and the chain have on record of forwards and of what they cost. */
export class Books {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** Forwards that our books have from a place on, in their order. */
  async forwardsSince(last: number): Promise<readonly ForwardView[]> {
    const found: ForwardView[] = []
    for (let cursor: string | undefined; ; ) {
      const page = await this.#world.us.service.analytics.forwards({ limit: 100, ...(cursor && { cursor }) })
      found.push(...page.items.filter((f) => Number(f.id) > last))
      if (page.nextCursor === null || page.items.some((f) => Number(f.id) <= last)) return found.reverse()
      cursor = page.nextCursor
    }
  }

  async pendingForwards(): Promise<string | undefined> {
    return /^fulmen_forwards_pending (\d+)$/m.exec(await this.#world.us.service.metrics({ eventSubscribers: 0 }))?.[1]
  }

  /** A payment in the words of the LND that pays it. */
  async lndPayment({ from, hash }: Payment): Promise<Answer> {
    const [dave, erin] = this.#world.lnds
    const { rest } = from === 'them' ? dave! : erin!
    const { payments } = await rest.get('/v1/payments?include_incomplete=true&reversed=true&max_payments=1000')
    return payments.find((p: Answer) => p.payment_hash === hash)
  }

  async inWallet(): Promise<bigint> {
    return (await this.#world.us.service.wallet()).confirmedSat
  }

  /** sat that our wallet, or closed channels for it, may have paid in blocks after this one. */
  async feesSince(height: number, closed: readonly ChannelView[]): Promise<number> {
    const w = this.#world
    let paid = 0
    const fundings = closed.map(outpointText)
    for (let at = height + 1; at <= (await w.rpc('getblockcount')); at++) {
      const { tx } = await w.rpc('getblock', await w.rpc('getblockhash', at), 2)
      for (const { txid, vin, fee } of tx.slice(1)) {
        const isCommitment = vin.some((i: Answer) => fundings.includes(`${i.txid}:${i.vout}`))
        const isOwn = await w.us.service.walletTransaction(txid).then(
          () => true,
          () => false,
        )
        if (isCommitment || isOwn) paid += satOf(fee)
      }
    }
    return paid
  }
}
