import { randomBytes } from 'node:crypto'
import * as ldk from 'lightningdevkit'
import * as raw from 'lightningdevkit/bindings.mjs'
import { gc, must, optional, release, some64 } from './bindings.mjs'
import {
  blockTransactions,
  hex,
  parseTx,
  REGTEST_GENESIS_HASH,
  revHex,
  sha256d,
  txidOf,
  unhex,
} from './bitcoin-mini.mjs'
import { handleEvent } from './events.mjs'
import { LdkNet } from './ldk-net.mjs'
import { persister } from './persister.mjs'
import { walletSource } from './wallet.mjs'

export class LdkNode {
  constructor(opt, emit) {
    this.opt = opt
    this.emit = emit
    this.watchers = new Set() // until()'s, looked at after every pump
    this.afterPump = null // the bench's
    this.waiters = new Map() // payment id hex -> bench callback
    this.payments = new Map() // payment id hex -> record
    this.held = new Map() // payment hash hex -> preimage, when autoclaim is off
    this.tempPeers = new Map() // temp channel id -> counterparty
    this.utxos = new Map() // wallet: "txid:vout" -> {txid, vout, value}
    this.stats = { monitorUpdates: 0, monitorBytes: 0, persistMs: 0, forwards: 0, logs: 0 }
    this.tipHash = REGTEST_GENESIS_HASH
    this.height = 0
    this.handled = 0
    this.lastGc = 0
    const n = (k) => Number(opt[k])

    const level = ['gossip', 'trace', 'debug', 'info', 'warn', 'error', 'off'].indexOf(opt.log)
    this.logger = ldk.Logger.new_impl({
      log: (r) => {
        this.stats.logs++
        if (r.get_level() >= level)
          process.stderr.write(
            `[${opt.alias}] ${ldk.Level[r.get_level()].slice(9)} ${r.get_module_path()}:${r.get_line()} ${r.get_args()}\n`,
          )
      },
    })
    // LDK hands every record to JS, gossip level included, and each costs a wrapper + finalizer.
    // With logging off, free the record at once instead (callbacks are looked up on this object per call).
    if (opt.log === 'off')
      this.logger.bindings_instance.log = (ptr) => {
        this.stats.logs++
        raw.Record_free(ptr)
      }

    this.fees = ldk.FeeEstimator.new_impl({ get_est_sat_per_1000_weight: () => n('feerate') })
    this.broadcaster = ldk.BroadcasterInterface.new_impl({
      broadcast_transactions: (txs) => {
        const list = txs.map((t) => ({ txid: revHex(txidOf(parseTx(t))), tx: hex(t) }))
        for (const t of list) this.emit({ event: 'broadcast', ...t, package: list.length })
      },
    })
    this.persister = ldk.Persist.new_impl({
      persist_new_channel() {},
      update_persisted_channel() {},
      archive_persisted_channel() {},
    })
    Object.assign(this.persister.bindings_instance, persister(this))
    this.monitor = ldk.ChainMonitor.constructor_new(
      ldk.Option_FilterZ.constructor_none(),
      this.broadcaster,
      this.logger,
      this.fees,
      this.persister,
    )

    const seed = opt.seed ? unhex(opt.seed) : randomBytes(32)
    const now = Date.now()
    this.keys = ldk.KeysManager.constructor_new(
      new Uint8Array(seed),
      BigInt(Math.floor(now / 1000)),
      (now % 1000) * 1e6,
    )
    this.entropy = this.keys.as_EntropySource()
    this.nodeSigner = this.keys.as_NodeSigner()
    this.signerProvider = this.keys.as_SignerProvider()
    this.spender = this.keys.as_OutputSpender()
    this.walletScript = must(this.signerProvider.get_destination_script(new Uint8Array(32)), 'destination script')

    this.graph = ldk.NetworkGraph.constructor_new(ldk.Network.LDKNetwork_Regtest, this.logger)
    this.gossip = ldk.P2PGossipSync.constructor_new(this.graph, ldk.Option_UtxoLookupZ.constructor_none(), this.logger)
    const scorer = ldk.ProbabilisticScorer.constructor_new(
      ldk.ProbabilisticScoringDecayParameters.constructor_default(),
      this.graph,
      this.logger,
    )
    this.scorer = ldk.MultiThreadedLockableScore.constructor_new(scorer.as_Score())
    this.router = ldk.DefaultRouter.constructor_new(
      this.graph,
      this.logger,
      this.entropy,
      this.scorer.as_LockableScore(),
      ldk.ProbabilisticScoringFeeParameters.constructor_default(),
    )
    this.msgRouter = ldk.DefaultMessageRouter.constructor_new(this.graph, this.entropy)

    const params = ldk.ChainParameters.constructor_new(
      ldk.Network.LDKNetwork_Regtest,
      ldk.BestBlock.constructor_from_network(ldk.Network.LDKNetwork_Regtest),
    )
    this.cm = ldk.ChannelManager.constructor_new(
      this.fees,
      this.monitor.as_Watch(),
      this.broadcaster,
      this.router.as_Router(),
      this.msgRouter.as_MessageRouter(),
      this.logger,
      this.entropy,
      this.nodeSigner,
      this.signerProvider,
      this.config(),
      params,
      Math.floor(now / 1000),
    )

    this.ignore = ldk.IgnoringMessageHandler.constructor_new()
    this.onion = ldk.OnionMessenger.constructor_new(
      this.entropy,
      this.nodeSigner,
      this.logger,
      this.cm.as_NodeIdLookUp(),
      this.msgRouter.as_MessageRouter(),
      this.cm.as_OffersMessageHandler(),
      this.cm.as_AsyncPaymentsMessageHandler(),
      this.cm.as_DNSResolverMessageHandler(),
      this.ignore.as_CustomOnionMessageHandler(),
    )
    this.pm = ldk.PeerManager.constructor_new(
      this.cm.as_ChannelMessageHandler(),
      this.gossip.as_RoutingMessageHandler(),
      this.onion.as_OnionMessageHandler(),
      this.ignore.as_CustomMessageHandler(),
      Math.floor(now / 1000),
      randomBytes(32),
      this.logger,
      this.nodeSigner,
    )

    this.source = ldk.WalletSource.new_impl(walletSource(this))
    this.wallet = ldk.Wallet.constructor_new(this.source, this.logger)
    this.bumper = ldk.BumpTransactionEventHandler.constructor_new(
      this.broadcaster,
      this.wallet.as_CoinSelectionSource(),
      this.signerProvider,
      this.logger,
    )

    // Everything LDK may call, and every trait object made from a handle, is kept for the life of the node.
    this.cmListen = this.cm.as_Listen()
    this.monListen = this.monitor.as_Listen()
    this.providers = [this.cm.as_EventsProvider(), this.monitor.as_EventsProvider(), this.onion.as_EventsProvider()]
    this.batch = []
    const ok = ldk.Result_NoneReplayEventZ.constructor_ok()
    this.handler = ldk.EventHandler.new_impl({
      handle_event: (e) => {
        this.batch.push(e)
        return ok
      },
    })
    this.refMarks = this.providers.map((p) => p.ptrs_to.length)
    this.nodeId = hex(this.cm.get_our_node_id())
  }

  config({ announce = false, anchors } = {}) {
    const o = this.opt,
      c = ldk.UserConfig.constructor_default()
    const h = ldk.ChannelHandshakeConfig.constructor_default()
    h.set_minimum_depth(Number(o['min-depth']))
    h.set_our_to_self_delay(Number(o['to-self-delay']))
    h.set_our_htlc_minimum_msat(1n)
    h.set_max_inbound_htlc_value_in_flight_percent_of_channel(100)
    h.set_our_max_accepted_htlcs(Number(o['max-htlcs']))
    h.set_negotiate_anchors_zero_fee_htlc_tx((anchors ?? o.anchors) === '1' || anchors === true)
    h.set_negotiate_scid_privacy(o['scid-privacy'] === '1' && !announce)
    h.set_announce_for_forwarding(announce)
    c.set_channel_handshake_config(h)
    const l = ldk.ChannelHandshakeLimits.constructor_default()
    l.set_max_funding_satoshis(2_100_000_000_000_000n)
    l.set_force_announced_channel_preference(false)
    l.set_trust_own_funding_0conf(o['zero-conf'] === '1')
    l.set_their_to_self_delay(2016)
    c.set_channel_handshake_limits(l)
    const ch = ldk.ChannelConfig.constructor_default()
    ch.set_max_dust_htlc_exposure(ldk.MaxDustHTLCExposure.constructor_fixed_limit_msat(5_000_000_000n))
    c.set_channel_config(ch)
    c.set_manually_accept_inbound_channels(true) // LDK refuses inbound anchor channels unless accepted by hand
    c.set_accept_forwards_to_priv_channels(true)
    return c
  }

  /** Opens the listener and starts LDK's clocks. */
  async start() {
    this.net = new LdkNet(this.pm, {
      onActivity: () => this.kick(),
      onClose: () => this.emit({ event: 'socket_closed' }),
    })
    this.port = await this.net.listen(this.opt.host, Number(this.opt.port))
    this.timers = [
      setInterval(() => {
        this.pm.timer_tick_occurred()
        this.kick()
      }, 10_000),
      setInterval(() => {
        this.cm.timer_tick_occurred()
        this.kick()
      }, 60_000),
      setInterval(() => {
        this.monitor.rebroadcast_pending_claims()
        this.kick()
      }, 30_000),
    ]
  }

  stop() {
    this.timers?.forEach(clearInterval)
    this.net?.stop()
  }

  /** Ask for one pass over LDK's queues once the sockets readable in this turn have all been read. */
  kick() {
    if (!this.kicked) {
      this.kicked = true
      setImmediate(() => {
        this.kicked = false
        this.pump()
      })
    }
  }

  pump() {
    if (this.pumping) return void this.kick()
    this.pumping = true
    try {
      for (;;) {
        this.providers.forEach((p, i) => {
          p.process_pending_events(this.handler)
          p.ptrs_to.length = this.refMarks[i]
        }) // that call appends a reference every time
        if (!this.batch.length) break
        const b = this.batch
        this.batch = []
        this.needForward = false
        for (const e of b) {
          handleEvent(this, e)
          if (!(e instanceof ldk.Event_SpendableOutputs || e instanceof ldk.Event_BumpTransaction)) release(e)
        }
        if (this.needForward) {
          this.stats.forwards++
          this.cm.process_pending_htlc_forwards()
        }
      }
      this.pm.process_events()
      const now = Date.now()
      this.handled++
      if (this.handled > 2000 && now - this.lastGc > 2000) {
        gc()
        this.handled = 0
        this.lastGc = now
      }
    } finally {
      this.pumping = false
    }
    for (const look of [...this.watchers]) look()
    this.afterPump?.()
  }

  /** Resolves when `done` is true after some pass over LDK's queues. */
  until(done, ms, what) {
    return new Promise((resolve, reject) => {
      const end = (settle) => {
        clearTimeout(timer)
        this.watchers.delete(look)
        settle()
      }
      const look = () => {
        if (done()) end(resolve)
      }
      const timer = setTimeout(() => end(() => reject(new Error(`${what} did not finish in ${ms} ms`))), ms)
      this.watchers.add(look)
      look()
    })
  }

  block({ height, block }) {
    const b = unhex(block),
      head = b.subarray(0, 80)
    // LDK panics (and the WASM instance is then lost) on a block that does not extend its tip: check first.
    if (Buffer.compare(head.subarray(4, 36), this.tipHash) !== 0 || height !== this.height + 1)
      throw new Error(`block ${height} does not extend height ${this.height}`)
    this.tipHash = sha256d(head)
    this.height = height
    for (const raw of blockTransactions(b)) {
      const tx = parseTx(raw),
        id = new Uint8Array(txidOf(tx)),
        shown = revHex(id)
      for (const i of tx.inputs) this.utxos.delete(`${revHex(i.txid)}:${i.vout}`)
      tx.outputs.forEach((o, vout) => {
        if (Buffer.compare(o.script, this.walletScript) === 0)
          this.utxos.set(`${shown}:${vout}`, { txid: id, vout, value: o.value })
      })
    }
    this.cmListen.block_connected(b, height)
    this.monListen.block_connected(b, height)
  }

  startPayment(p, idBytes) {
    const retry = ldk.Retry.constructor_attempts(p.retries ?? 3)
    if (p.invoice) {
      const inv = must(ldk.Bolt11Invoice.constructor_from_str(p.invoice), 'invoice')
      const t = must(
        p.msat
          ? ldk.UtilMethods.constructor_payment_parameters_from_variable_amount_invoice(inv, BigInt(p.msat))
          : ldk.UtilMethods.constructor_payment_parameters_from_invoice(inv),
        'payment parameters',
      )
      must(this.cm.send_payment(t.get_a(), t.get_b(), idBytes, t.get_c(), retry), 'send_payment')
      return hex(t.get_a())
    }
    if (p.hash) {
      const pp = ldk.PaymentParameters.constructor_from_node_id(unhex(p.payee), p.final_cltv ?? 24)
      // an explicit secret implies the payee knows payment_secret; say so, or LDK refuses for an unannounced payee
      const rp = ldk.RouteParameters.constructor_from_payment_params_and_value(pp, BigInt(p.msat))
      must(
        this.cm.send_payment(
          unhex(p.hash),
          ldk.RecipientOnionFields.constructor_secret_only(unhex(p.secret)),
          idBytes,
          rp,
          retry,
        ),
        'send_payment',
      )
      return p.hash
    }
    const pp = ldk.PaymentParameters.constructor_for_keysend(unhex(p.payee), p.final_cltv ?? 24, false)
    const rp = ldk.RouteParameters.constructor_from_payment_params_and_value(pp, BigInt(p.msat))
    const r = this.cm.send_spontaneous_payment(
      ldk.Option_ThirtyTwoBytesZ.constructor_some(randomBytes(32)),
      ldk.RecipientOnionFields.constructor_spontaneous_empty(),
      idBytes,
      rp,
      retry,
    )
    return hex(must(r, 'keysend'))
  }

  createInvoice({ msat, description = '', expiry = 3600, hash }) {
    const d = ldk.Bolt11InvoiceDescription.constructor_direct(
      must(ldk.Description.constructor_new(description), 'description'),
    )
    const inv = must(
      this.cm.create_bolt11_invoice(
        some64(msat),
        d,
        ldk.Option_u32Z.constructor_some(expiry),
        ldk.Option_u16Z.constructor_none(),
        hash ? ldk.Option_ThirtyTwoBytesZ.constructor_some(unhex(hash)) : ldk.Option_ThirtyTwoBytesZ.constructor_none(),
      ),
      'create invoice',
    )
    return inv
  }

  channels() {
    return this.cm.list_channels().map((c) => {
      const t = c.get_channel_type()
      return {
        channel_id: hex(c.get_channel_id().get_a()),
        pubkey: hex(c.get_counterparty().get_node_id()),
        sat: c.get_channel_value_satoshis(),
        outbound_msat: c.get_outbound_capacity_msat(),
        inbound_msat: c.get_inbound_capacity_msat(),
        next_out_max_msat: c.get_next_outbound_htlc_limit_msat(),
        ready: !!c.get_is_channel_ready(),
        usable: !!c.get_is_usable(),
        announced: !!c.get_is_announced(),
        initiator: !!c.get_is_outbound(), // booleans come out of WASM as 0/1
        scid: optional(c.get_short_channel_id()),
        confirmations: optional(c.get_confirmations()),
        feerate: optional(c.get_feerate_sat_per_1000_weight()),
        type: t && t.ptr !== 0n ? hex(Buffer.from(t.le_flags()).reverse()) : null,
        anchors: !!t?.supports_anchors_zero_fee_htlc_tx?.(),
        in_htlcs: c.get_pending_inbound_htlcs().length,
        out_htlcs: c.get_pending_outbound_htlcs().length,
      }
    })
  }
}
