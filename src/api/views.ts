import { formatScid, outpointKey } from '../base/ids.ts'
import { amountToJson } from '../base/units.ts'
import type { PsbtView, UtxoView, WalletTransactionView, WalletView } from '../node/onchainService.ts'
import type {
  Balance as BalanceView,
  ChannelView,
  GraphChannelView,
  InvoiceView,
  PaymentView,
  RouteView,
} from '../node/service.ts'
import type * as Onchain from './onchainSchemas.ts'
import type * as Json from './schemas.ts'

/*
 * The node's views as JSON: amounts become integers, ids become text. The serialiser writes only the fields that the schema names,
 * so what a view has besides never leaves.
 */

const amountOrNull = (v: bigint | null): number | null => (v === null ? null : amountToJson(v))

export const balanceJson = (view: BalanceView): Json.Balance => ({
  onchainConfirmedSat: amountToJson(view.onchainConfirmedSat),
  onchainUnconfirmedSat: amountToJson(view.onchainUnconfirmedSat),
  onchainClosingSat: amountToJson(view.onchainClosingSat),
  channelSendableMsat: amountToJson(view.channelSendableMsat),
  channelReceivableMsat: amountToJson(view.channelReceivableMsat),
  channelLocalMsat: amountToJson(view.channelLocalMsat),
  channelPendingMsat: amountToJson(view.channelPendingMsat),
})

export const channelJson = (view: ChannelView): Json.Channel => ({
  ...view,
  shortChannelId: view.shortChannelId === null ? null : formatScid(view.shortChannelId),
  capacitySat: amountToJson(view.capacitySat),
  localMsat: amountToJson(view.localMsat),
  remoteMsat: amountToJson(view.remoteMsat),
  sendableMsat: amountToJson(view.sendableMsat),
  receivableMsat: amountToJson(view.receivableMsat),
  localReserveSat: amountToJson(view.localReserveSat),
  remoteReserveSat: amountToJson(view.remoteReserveSat),
  policy: {
    ...view.policy,
    htlcMinimumMsat: amountToJson(view.policy.htlcMinimumMsat),
    htlcMaximumMsat: amountToJson(view.policy.htlcMaximumMsat),
  },
  htlcs: view.htlcs.map((htlc) => ({ ...htlc, amountMsat: amountToJson(htlc.amountMsat) })),
  funding: view.funding === null ? null : outpointKey(view.funding),
  closing: view.closing === null ? null : closingJson(view.closing),
})

const closingJson = (closing: NonNullable<ChannelView['closing']>): NonNullable<Json.Channel['closing']> => ({
  ...closing,
  transactions: closing.transactions.map((tx) => ({ ...tx, feeSat: amountOrNull(tx.feeSat) })),
  unclaimedSat: amountToJson(closing.unclaimedSat),
})

export const invoiceJson = (view: InvoiceView): Json.Invoice => ({
  id: view.id,
  paymentHash: view.paymentHash,
  bolt11: view.bolt11,
  status: view.status,
  amountMsat: amountOrNull(view.amountMsat),
  receivedMsat: amountOrNull(view.receivedMsat),
  description: view.description,
  descriptionHash: view.descriptionHash,
  preimage: view.preimage,
  createdAt: view.createdAt,
  expiresAt: view.expiresAt,
  settledAt: view.settledAt,
  settleBefore: view.settleBefore ?? null,
  keyId: view.keyId,
})

export const paymentJson = (view: PaymentView): Json.Payment => ({
  id: view.id,
  paymentHash: view.paymentHash,
  status: view.status,
  nodeId: view.nodeId,
  amountMsat: amountToJson(view.amountMsat),
  feeMsat: amountToJson(view.feeMsat),
  preimage: view.preimage,
  failure: view.failure && { code: view.failure.code, detail: view.failure.detail },
  parts: view.parts.map((part) => ({
    status: part.status,
    amountMsat: amountToJson(part.amountMsat),
    feeMsat: amountToJson(part.feeMsat),
    route: part.route.map((hop) => ({ nodeId: hop.nodeId, shortChannelId: formatScid(hop.shortChannelId) })),
    failure: part.failure,
  })),
  bolt11: view.bolt11,
  createdAt: view.createdAt,
  completedAt: view.completedAt,
  keyId: view.keyId,
})

export const walletJson = (view: WalletView): Onchain.Wallet => ({
  confirmedSat: amountToJson(view.confirmedSat),
  unconfirmedSat: amountToJson(view.unconfirmedSat),
  lockedSat: amountToJson(view.lockedSat),
  immatureSat: amountToJson(view.immatureSat),
  reservedSat: amountToJson(view.reservedSat),
})

export const utxoJson = (view: UtxoView): Onchain.Utxo => ({
  ...view,
  outpoint: outpointKey(view.outpoint),
  amountSat: amountToJson(view.amountSat),
})

export const walletTransactionJson = (view: WalletTransactionView): Onchain.WalletTransaction => ({
  ...view,
  netSat: amountToJson(view.netSat),
  feeSat: amountOrNull(view.feeSat),
})

export const psbtJson = (view: PsbtView): Onchain.Psbt => ({ ...view, feeSat: amountOrNull(view.feeSat) })

export const graphChannelJson = (view: GraphChannelView): Json.GraphChannel => ({
  ...view,
  shortChannelId: formatScid(view.shortChannelId),
  capacitySat: amountOrNull(view.capacitySat),
  policies: [...view.policies],
})

export const routeJson = (view: RouteView): Json.Route => ({
  amountMsat: amountToJson(view.amountMsat),
  feeMsat: amountToJson(view.feeMsat),
  hops: view.hops.map((hop) => ({
    ...hop,
    shortChannelId: formatScid(hop.shortChannelId),
    amountMsat: amountToJson(hop.amountMsat),
  })),
})
