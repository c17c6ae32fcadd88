import { collectDefaultMetrics } from 'prom-client'
import type { GaugeName } from '../metrics.ts'
import type { Node } from '../node.ts'
import type { NodeService } from '../service.ts'
import { balanceOf, channelTotals } from '../totals.ts'

/** Metrics as text. Gauges are computed here, so that they cost nothing while nobody asks. */
export function metricsService(node: Node, service: Pick<NodeService, 'info' | 'ready'>): Pick<NodeService, 'metrics'> {
  const { metrics } = node
  const { registry } = metrics
  let watchesProcess = false
  return {
    async metrics(more) {
      // With the first scrape: the event loop and the collector are not watched for nobody.
      if (!watchesProcess) collectDefaultMetrics({ register: registry })
      watchesProcess = true
      const totals = channelTotals(node)
      const { htlcs, channels, usable } = totals
      metrics.channels.reset()
      for (const [state, count] of channels) metrics.channels.set({ state }, count)
      for (const direction of ['in', 'out'] as const) {
        metrics.htlcs.set({ direction }, htlcs[direction].count)
        metrics.htlcsMsat.set({ direction }, Number(htlcs[direction].msat))
      }
      const balance = balanceOf(node, totals)
      const { synced, blockHeight, uptimeSeconds } = service.info()
      const values: Readonly<Record<GaugeName, number>> = {
        up: 1,
        ready: service.ready().ready ? 1 : 0,
        synced: synced ? 1 : 0,
        uptime_seconds: uptimeSeconds,
        block_height: blockHeight,
        chain_lag_blocks: Math.max(0, (node.chain.status.tipHeight ?? blockHeight) - blockHeight),
        channels_usable: usable,
        channel_local_msat: Number(totals.localMsat),
        channel_remote_msat: Number(totals.remoteMsat),
        channel_sendable_msat: Number(totals.sendableMsat),
        channel_receivable_msat: Number(totals.receivableMsat),
        onchain_confirmed_sat: Number(balance.onchainConfirmedSat),
        onchain_unconfirmed_sat: Number(balance.onchainUnconfirmedSat),
        onchain_reserved_sat: Number(node.reserves.inAll()),
        onchain_closing_sat: Number(balance.onchainClosingSat),
        payments_pending: node.payments.outgoing.live().length,
        forwards_pending: node.payments.forwardsPending,
        peers_connected: node.peers.links().length,
        reactor_tasks: node.reactor.waiting.tasks,
        reactor_batches: node.reactor.waiting.batches,
        peer_inbox_bytes: node.peers.queued().inBytes,
        peer_outbox_bytes: node.peers.queued().outBytes,
        event_last_id: node.events.lastId,
        event_subscribers: more.eventSubscribers,
        alerts_raised: more.alertsRaised ?? 0,
      }
      for (const [name, value] of Object.entries(values)) metrics.gauges[name as GaugeName].set(value)
      return registry.metrics()
    },
  }
}
