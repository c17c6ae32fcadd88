import { randomBytes } from 'node:crypto'
import * as ldk from 'lightningdevkit'
import * as raw from 'lightningdevkit/bindings.mjs'
import { benchPay } from './bench.mjs'
import { gc, must, optional, some64, versions } from './bindings.mjs'
import { hex, revHex, unhex } from './bitcoin-mini.mjs'

const featureHex = (f) => hex(Buffer.from(f.le_flags()).reverse())
const noU64 = () => ldk.Option_u64Z.constructor_none()
const mebibytes = (n) => Math.round(n / 1048576)

function pay(node, m, target) {
  const id = randomBytes(32),
    key = hex(id)
  const rec = { payment_id: key, status: 'pending', msat: m.msat }
  node.payments.set(key, rec)
  try {
    rec.hash = node.startPayment(target, id)
  } catch (e) {
    node.payments.delete(key)
    throw e
  }
  return { payment_id: key, hash: rec.hash }
}

function channel(node, id) {
  const c = node.cm.list_channels().find((x) => hex(x.get_channel_id().get_a()).startsWith(id))
  if (!c) throw new Error('no such channel')
  return c
}

/** Every command: (node, arguments) to its result, or a throw. */
export const commands = {
  /** What LDK reads in an invoice; null where it refuses it. */
  decode_invoice: (_node, { invoice }) => {
    const read = ldk.Bolt11Invoice.constructor_from_str(invoice)
    if (!read.is_ok()) return null
    const inv = read.res
    return {
      payee: hex(inv.recover_payee_pub_key()),
      hash: hex(inv.payment_hash()),
      secret: hex(inv.payment_secret()),
      msat: optional(inv.amount_milli_satoshis())?.toString() ?? null,
      timestamp: Number(inv.duration_since_epoch()),
      expiry: Number(inv.expiry_time()),
      final_delta: Number(inv.min_final_cltv_expiry_delta()),
      fallbacks: inv.fallback_addresses().length,
      hints: inv.route_hints().map((hint) =>
        hint.get_a().map((h) => {
          const fees = h.get_fees()
          // The bindings give them as signed.
          const scid = BigInt.asUintN(64, h.get_short_channel_id())
          const price = [
            fees.get_base_msat() >>> 0,
            fees.get_proportional_millionths() >>> 0,
            h.get_cltv_expiry_delta(),
          ]
          return [hex(h.get_src_node_id()), scid, ...price].join()
        }),
      ),
    }
  },
  getinfo: (node) => ({
    pubkey: node.nodeId,
    port: node.port,
    height: node.height,
    tip: revHex(node.tipHash),
    peers: node.pm.list_peers().length,
    channels: node.cm.list_channels().length,
    wallet_script: hex(node.walletScript),
    wallet_sat: [...node.utxos.values()].reduce((a, u) => a + u.value, 0n),
    features: featureHex(node.cm.init_features()),
    ...versions(),
  }),

  /** Answers when LDK has the other side's init. */
  async connect(node, m) {
    await node.net.connect(m.host ?? '127.0.0.1', m.port, unhex(m.pubkey))
    await node.until(
      () => node.pm.list_peers().some((p) => hex(p.get_counterparty_node_id()) === m.pubkey),
      5000,
      'handshake',
    )
    return {}
  },
  disconnect(node, m) {
    node.pm.disconnect_by_node_id(unhex(m.pubkey))
    return {}
  },
  list_peers: (node) =>
    node.pm.list_peers().map((p) => ({
      pubkey: hex(p.get_counterparty_node_id()),
      inbound: !!p.get_is_inbound_connection(),
      features: featureHex(p.get_init_features()),
    })),

  open_channel(node, m) {
    const r = node.cm.create_channel(
      unhex(m.pubkey),
      BigInt(m.sat),
      BigInt(m.push_msat ?? 0),
      BigInt(m.user_channel_id ?? 0),
      null,
      node.config({ announce: !!m.public, anchors: m.anchors }),
    )
    return { temp_channel_id: hex(must(r, 'create_channel').get_a()) }
  },
  funding(node, m) {
    must(
      node.cm.funding_transaction_generated(
        ldk.ChannelId.constructor_new(unhex(m.temp_channel_id)),
        node.tempPeers.get(m.temp_channel_id),
        unhex(m.tx),
      ),
      'funding',
    )
    return {}
  },
  list_channels: (node) => node.channels(),
  close(node, m) {
    const c = channel(node, m.channel),
      id = c.get_channel_id(),
      peer = c.get_counterparty().get_node_id()
    must(
      m.force
        ? node.cm.force_close_broadcasting_latest_txn(id, peer, 'closed by command')
        : node.cm.close_channel(id, peer),
      'close',
    )
    return {}
  },
  balances: (node) =>
    node.monitor.get_claimable_balances([]).map((b) => ({
      kind: b.constructor.name.replace('Balance_', ''),
      sat: b.claimable_amount_satoshis(),
      amount: b.amount_satoshis,
      hash: b.payment_hash ? hex(b.payment_hash) : null,
    })),

  create_invoice(node, m) {
    const i = node.createInvoice(m)
    return { invoice: i.to_str(), hash: hex(i.payment_hash()), secret: hex(i.payment_secret()) }
  },
  create_invoices: (node, m) => ({ invoices: Array.from({ length: m.count }, () => node.createInvoice(m).to_str()) }),
  pay: (node, m) => pay(node, m, m),
  keysend: (node, m) => pay(node, m, { payee: m.pubkey ?? m.payee, msat: m.msat, retries: m.retries }),
  list_payments: (node) => [...node.payments.values()],
  claim(node, m) {
    const p = node.held.get(m.hash)
    if (!p) throw new Error('not held')
    node.held.delete(m.hash)
    node.cm.claim_funds(p)
    return {}
  },
  fail(node, m) {
    node.held.delete(m.hash)
    node.cm.fail_htlc_backwards(unhex(m.hash))
    return {}
  },

  /** { on }: false leaves incoming payments waiting for claim or fail. */
  autoclaim(node, m) {
    node.opt.autoclaim = m.on ? '1' : '0'
    return {}
  },

  create_offer(node, m) {
    const b = must(node.cm.create_offer_builder(noU64()), 'offer builder')
    // Known bug of these bindings: the setters (amount_msats, description, ...) have no effect on what build() gives,
    // so an offer from here never states an amount: pay_offer needs msat.
    if (m.msat) b.amount_msats(BigInt(m.msat))
    b.description(m.description ?? '')
    const offer = must(b.build(), 'offer')
    return { offer: offer.to_str(), amount_set: !!optional(offer.amount()) }
  },
  pay_offer(node, m) {
    const id = randomBytes(32),
      key = hex(id)
    node.payments.set(key, { payment_id: key, status: 'awaiting_invoice' })
    const offer = must(ldk.Offer.constructor_from_str(m.offer), 'offer')
    must(
      node.cm.pay_for_offer(
        offer,
        noU64(),
        some64(m.msat),
        ldk.Option_StrZ.constructor_none(),
        id,
        ldk.Retry.constructor_attempts(3),
        noU64(),
      ),
      'pay_for_offer',
    )
    return { payment_id: key }
  },

  announce_node(node) {
    const alias = Buffer.concat([Buffer.from(node.opt.alias), Buffer.alloc(32)]).subarray(0, 32)
    node.pm.broadcast_node_announcement(new Uint8Array(3), alias, [
      ldk.SocketAddress.constructor_tcp_ip_v4(new Uint8Array([127, 0, 0, 1]), node.port),
    ])
    return {}
  },
  graph(node) {
    // The handle is a held read lock on the graph: unless freed here, the next gossip write panics (RefCell "already borrowed").
    const g = node.graph.read_only(),
      ptr = g.ptr
    try {
      return { channels: g.list_channels().length, nodes: g.list_nodes().length }
    } finally {
      ldk.ReadOnlyNetworkGraph.set_null_skip_free(g)
      raw.ReadOnlyNetworkGraph_free(ptr)
    }
  },

  /** { height, block: hex of the whole block }, the next one of LDK's best chain. */
  block(node, m) {
    node.block(m)
    return { height: node.height }
  },
  blocks(node, m) {
    for (const b of m.blocks) {
      node.block(b)
      node.pump()
    }
    return { height: node.height }
  },
  set_feerate(node, m) {
    node.opt.feerate = String(m.sat_per_kw)
    node.cm.timer_tick_occurred()
    return {}
  },

  quiet(node, m) {
    node.quiet = m.on ?? true
    return {}
  },
  bench_pay: (node, m) => benchPay(node, m),
  stats(node, m) {
    if (m.gc) gc()
    const u = process.memoryUsage()
    return {
      ...node.stats,
      claimed: node.claimed ?? 0,
      rss_mb: mebibytes(u.rss),
      heap_mb: mebibytes(u.heapUsed),
      wasm_mb: mebibytes(u.external),
    }
  },
  stop(node) {
    setImmediate(() => {
      node.stop()
      process.exit(0)
    })
    return {}
  },
}
