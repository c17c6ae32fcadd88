import { createRequire } from 'node:module'
import { toHex } from '../../base/bytes.ts'
import type { ChainErrorCode } from '../../chain/errors.ts'
import { ourInitFeatures } from '../../wire/features.ts'
import { apiStore } from '../apiStore.ts'
import type { NodeConfig } from '../config.ts'
import type { Endpoint } from '../configOptions.ts'
import type { Node } from '../node.ts'
import type { NodeService } from '../service.ts'
import { balanceOf } from '../totals.ts'
import { analyticsService } from './analytics.ts'
import { backupService } from './backup.ts'
import { chainService } from './chain.ts'
import { channelService } from './channels.ts'
import { graphService } from './graph.ts'
import { invoiceService } from './invoices.ts'
import { metricsService } from './metrics.ts'
import { paymentService } from './payments.ts'
import { peerService } from './peers.ts'
import { walletService } from './wallet.ts'

const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string }

const OLD_CHAIN =
  'the newest block of the Bitcoin node is hours old: see that it has connections, and that the clock of this machine is right'

/** Why the chain is not followed, in words that anybody may read: where the Bitcoin node is, and what is said there, concerns the operator. */
const UNFOLLOWED: { readonly [C in ChainErrorCode]?: string } = {
  UNAVAILABLE: 'the Bitcoin node cannot be reached',
  TIMEOUT: 'the Bitcoin node does not answer in time',
  WARMUP: 'the Bitcoin node is starting',
  UNAUTHORIZED: 'the Bitcoin node refuses the calls of this one',
}

/** Where peers find a node: what it announces, else where it listens, unless that is everywhere and so names no place. */
export function placesOf(announced: readonly Endpoint[], listen: string | null): readonly string[] {
  if (announced.length > 0) return announced.map(({ host, port }) => `${host}:${port}`)
  return listen === null || /^(0\.0\.0\.0|\[?::\]?):\d+$/.test(listen) ? [] : [listen]
}

/** Everything that an operator can ask of the node. */
export function nodeService(
  node: Node,
  { config, listen }: { config: NodeConfig; listen: string | null },
): NodeService {
  const startedAt = Date.now()
  const wallet = walletService(node)
  const { own, chain, events, changes } = node
  const addresses = placesOf(config.announce, listen).map((place) => `${own.nodeId}@${place}`)
  const info: NodeService['info'] = () => ({
    nodeId: own.nodeId,
    alias: config.alias,
    network: config.network,
    version,
    features: toHex(ourInitFeatures()),
    addresses,
    blockHeight: chain.height,
    synced: chain.isSynced,
    uptimeSeconds: Math.floor((Date.now() - startedAt) / 1000),
  })
  const ready: NodeService['ready'] = () => {
    const reasons = node.storageLow() ? ['disk space is low: new channels and payments are refused'] : []
    const { synced, error } = chain.status
    if (!synced && error) {
      const reason = UNFOLLOWED[error.code] ?? 'the chain of the Bitcoin node cannot be followed'
      return { ready: false, reasons: [reason, ...reasons], details: [error.message, ...reasons] }
    }
    if (!synced) reasons.unshift('the chain is being caught up with')
    else if (chain.isOld) reasons.unshift(OLD_CHAIN)
    return { ready: reasons.length === 0, reasons }
  }
  return {
    ...backupService(node),
    ...peerService(node),
    ...channelService(node),
    ...invoiceService(node),
    ...paymentService(node),
    ...wallet,
    analytics: analyticsService(node, wallet),
    ...chainService(node),
    ...graphService(node),
    ...metricsService(node, { info, ready }),
    logs: node.logs,
    info,
    ready,
    newId: () => node.newId(),
    balance: async () => balanceOf(node),
    lastEventId: () => events.lastId,
    lastEventBefore: (time) => events.lastBefore(time),
    eventsSince: (since, limit) => events.since(since, limit),
    onEvent: (listener) => events.subscribe(listener),
    waitFor: (...wait) => changes.waitFor(...wait),
    apiStore: apiStore(node),
  }
}
