import { pack } from '../../base/pack.ts'
import { keys } from '../../store/schema.ts'
import type { Node } from '../node.ts'
import { balanceOf, channelTotals } from '../totals.ts'
import type { Balances } from './views.ts'

export type BalanceSpan = 'hour' | 'day'

/** The hour (`2026-11-27T14`) or the day of a time. @param at RFC 3339, UTC */
const startOf = (span: BalanceSpan, at: string): string => at.slice(0, span === 'hour' ? 13 : 10)

function balancesNow(node: Pick<Node, 'channels' | 'context' | 'wallet'>): Balances {
  const totals = channelTotals(node)
  const b = balanceOf(node, totals)
  return {
    onchainConfirmedSat: b.onchainConfirmedSat,
    onchainUnconfirmedSat: b.onchainUnconfirmedSat,
    onchainClosingSat: b.onchainClosingSat,
    channelLocalMsat: totals.localMsat,
    channelRemoteMsat: totals.remoteMsat,
    channelSendableMsat: totals.sendableMsat,
    channelReceivableMsat: totals.receivableMsat,
    usableChannels: totals.usable,
  }
}

/** What the node held, each hour and each day: the last that was seen in it, for ever. */
export class BalanceHistory {
  readonly #node: Node
  #last = ''

  constructor(node: Node) {
    this.#node = node
  }

  /** Writes down what the node holds, where that or the hour has changed. */
  async note(): Promise<void> {
    const { reactor } = this.#node
    const at = new Date(this.#node.now()).toISOString()
    const balances = balancesNow(this.#node)
    const seen = JSON.stringify([startOf('hour', at), Object.values(balances).map(String)])
    if (seen === this.#last) return
    this.#last = seen
    await reactor.run((scope) => {
      for (const span of ['hour', 'day'] as const)
        scope.write({ key: keys.balances(span) + startOf(span, at), value: pack({ ...balances, at }) })
    })
  }
}
