import * as ldk from 'lightningdevkit'
import { enumName, optional } from './bindings.mjs'
import { hex, parseTx, revHex, txidOf } from './bitcoin-mini.mjs'

/** Answers what LDK asks for in an event, and reports it as one JSON line. */
export function handleEvent(node, e) {
  const out = (o) => node.emit(o)
  if (e instanceof ldk.Event_PendingHTLCsForwardable) {
    node.needForward = true
    return
  }
  if (e instanceof ldk.Event_PaymentClaimable) {
    const pre = optional(e.purpose.preimage()),
      hash = hex(e.payment_hash)
    if (pre && node.opt.autoclaim === '1') node.cm.claim_funds(pre)
    else if (pre) node.held.set(hash, pre)
    if (!node.quiet)
      out({
        event: 'PaymentClaimable',
        hash,
        msat: e.amount_msat,
        purpose: e.purpose.constructor.name.replace('PaymentPurpose_', ''),
        claim_deadline: optional(e.claim_deadline),
      })
    return
  }
  if (e instanceof ldk.Event_PaymentClaimed) {
    node.claimed = (node.claimed ?? 0) + 1
    if (!node.quiet) out({ event: 'PaymentClaimed', hash: hex(e.payment_hash), msat: e.amount_msat })
    return
  }
  if (e instanceof ldk.Event_PaymentSent) {
    const id = hex(optional(e.payment_id)),
      w = node.waiters.get(id)
    if (w) {
      node.waiters.delete(id)
      w(true)
      return
    }
    Object.assign(node.payments.get(id) ?? {}, {
      status: 'sent',
      preimage: hex(e.payment_preimage),
      fee_msat: optional(e.fee_paid_msat),
    })
    out({
      event: 'PaymentSent',
      payment_id: id,
      hash: hex(e.payment_hash),
      preimage: hex(e.payment_preimage),
      fee_msat: optional(e.fee_paid_msat),
    })
    return
  }
  if (e instanceof ldk.Event_PaymentFailed) {
    const id = hex(e.payment_id),
      w = node.waiters.get(id)
    const reason = enumName(ldk.PaymentFailureReason, optional(e.reason), 'LDKPaymentFailureReason_')
    if (w) {
      node.waiters.delete(id)
      w(false, reason)
      return
    }
    Object.assign(node.payments.get(id) ?? {}, { status: 'failed', reason })
    out({ event: 'PaymentFailed', payment_id: id, hash: optional(e.payment_hash) && hex(e.payment_hash.some), reason })
    return
  }
  if (
    e instanceof ldk.Event_PaymentPathSuccessful ||
    e instanceof ldk.Event_ProbeSuccessful ||
    e instanceof ldk.Event_ProbeFailed
  )
    return
  if (e instanceof ldk.Event_PaymentPathFailed) {
    const f = e.failure
    out({
      event: 'PaymentPathFailed',
      hash: hex(e.payment_hash),
      permanent: e.payment_failed_permanently,
      scid: optional(e.short_channel_id),
      failure:
        f instanceof ldk.PathFailure_InitialSend ? `InitialSend: ${f.err?.err ?? f.err?.constructor.name}` : 'OnPath',
    })
    return
  }
  if (e instanceof ldk.Event_FundingGenerationReady) {
    const temp = hex(e.temporary_channel_id.get_a())
    node.tempPeers.set(temp, e.counterparty_node_id)
    return out({
      event: 'FundingGenerationReady',
      temp_channel_id: temp,
      pubkey: hex(e.counterparty_node_id),
      sat: e.channel_value_satoshis,
      script: hex(e.output_script),
      user_channel_id: e.user_channel_id,
    })
  }
  if (e instanceof ldk.Event_OpenChannelRequest) {
    const accept =
      node.opt['zero-conf'] === '1' ? 'accept_inbound_channel_from_trusted_peer_0conf' : 'accept_inbound_channel'
    const r = node.cm[accept](e.temporary_channel_id, e.counterparty_node_id, 0n)
    return out({
      event: 'OpenChannelRequest',
      pubkey: hex(e.counterparty_node_id),
      sat: e.funding_satoshis,
      announced: !!e.is_announced,
      accepted: !!r.is_ok(),
      error: r.is_ok() ? undefined : r.err?.err,
    })
  }
  if (e instanceof ldk.Event_ChannelPending)
    return out({
      event: 'ChannelPending',
      channel_id: hex(e.channel_id.get_a()),
      pubkey: hex(e.counterparty_node_id),
      funding: `${revHex(e.funding_txo.get_txid())}:${e.funding_txo.get_index()}`,
    })
  if (e instanceof ldk.Event_ChannelReady)
    return out({
      event: 'ChannelReady',
      channel_id: hex(e.channel_id.get_a()),
      pubkey: hex(e.counterparty_node_id),
      anchors: !!e.channel_type.supports_anchors_zero_fee_htlc_tx(),
    })
  if (e instanceof ldk.Event_ChannelClosed)
    return out({
      event: 'ChannelClosed',
      channel_id: hex(e.channel_id.get_a()),
      reason: e.reason.to_str(),
      last_local_balance_msat: optional(e.last_local_balance_msat),
    })
  if (e instanceof ldk.Event_SpendableOutputs) {
    out({
      event: 'SpendableOutputs',
      channel_id: hex(e.channel_id.get_a()),
      outputs: e.outputs.map((o) => ({
        kind: o.constructor.name.replace('SpendableOutputDescriptor_', ''),
        outpoint: o.spendable_outpoint().to_str(),
      })),
    })
    const sweep = e.outputs.filter(
      (o) =>
        !(
          o instanceof ldk.SpendableOutputDescriptor_StaticOutput &&
          hex(o.output.script_pubkey) === hex(node.walletScript)
        ),
    )
    if (!sweep.length) return
    const r = node.spender.spend_spendable_outputs(
      sweep,
      [],
      node.walletScript,
      Number(node.opt.feerate),
      ldk.Option_u32Z.constructor_none(),
    )
    if (!r.is_ok()) return out({ event: 'SweepFailed' })
    const tx = parseTx(r.res)
    out({ event: 'broadcast', txid: revHex(txidOf(tx)), tx: hex(r.res), package: 1, sweep: true })
    return
  }
  if (e instanceof ldk.Event_BumpTransaction) {
    out({ event: 'BumpTransaction', kind: e.bump_transaction.constructor.name.replace('BumpTransactionEvent_', '') })
    node.bumper.handle_event(e.bump_transaction)
    return
  }
  if (e instanceof ldk.Event_PaymentForwarded) {
    if (!node.quiet)
      out({
        event: 'PaymentForwarded',
        fee_msat: optional(e.total_fee_earned_msat),
        msat: optional(e.outbound_amount_forwarded_msat),
      })
    return
  }
  if (e instanceof ldk.Event_HTLCHandlingFailed)
    return out({
      event: 'HTLCHandlingFailed',
      what: e.failed_next_destination.constructor.name.replace('HTLCDestination_', ''),
    })
  if (e instanceof ldk.Event_DiscardFunding) return out({ event: 'DiscardFunding' })
  if (e instanceof ldk.Event_ConnectionNeeded) return out({ event: 'ConnectionNeeded', pubkey: hex(e.node_id) })
  out({ event: e.constructor.name.replace('Event_', '') })
}
