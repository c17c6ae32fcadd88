import { rescanBlock } from '../../src/chain/watcher.ts'
import type { Watch } from '../../src/channel/types.ts'
import type { Node } from '../../src/node/node.ts'
import type { TurnScope } from '../../src/node/reactor.ts'
import * as unseen from '../../src/node/unseenCloses.ts'
import type { Honest } from './honest.ts'

/* An honest node looks for closes that its records do not know of, as the real one does (unseenCloses.ts). */

/** Before it hears any peer. */
export const closeOnceMore = (node: Honest): Promise<void> => unseen.closeOnceMore(asNode(node))

/** Once all blocks are here, in those that are older. */
export async function findCloses(node: Honest): Promise<void> {
  unseen.closeFinder(asNode(node))()
  await node.settle()
}

function asNode(node: Honest): Node {
  const log = {
    info: () => {},
    warn: () => {},
    error: ({ err }: { err: Error }) => void node.complaints.add(err.stack ?? String(err)),
  }
  const chain = {
    height: node.height,
    reach: async () => {},
    lookBack: (localId: string, watched: readonly Watch[], _: TurnScope, fromHeight: number) =>
      node.post(() => lookBack(node, { localId, watched, fromHeight })),
  }
  const reactor = { run: async (task: (scope: TurnScope) => void) => node.turn(task) }
  const source = node.publisher.outlet.source()
  return { channels: node.channels, chain, source, reactor, log, logs: { of: () => log } } as unknown as Node
}

interface Search {
  readonly localId: string
  readonly watched: readonly Watch[]
  readonly fromHeight: number
}
function lookBack(node: Honest, { localId, watched, fromHeight }: Search): void {
  const entry = node.entry(localId)
  for (const block of node.chain.from(fromHeight))
    for (const event of rescanBlock(watched, block)) node.channels.deliver(entry, { tag: 'chain', event })
}
