import { type Static, Type } from '@sinclair/typebox'
import { withRules } from './rules.ts'
import {
  AddressText,
  answer,
  Count,
  FeerateSatPerVbyte,
  HexText,
  nullable,
  OutpointText,
  oneOf,
  PositiveSat,
  pageQueryWith,
  recordQuery,
  request,
  Sat,
  SignedSat,
  TimeText,
  TxidText,
} from './scalars.ts'

/* Bodies of the wallet and the chain; the others are in schemas.ts. */

export const Wallet = answer('Wallet', {
  confirmedSat: Sat,
  unconfirmedSat: Sat,
  lockedSat: Sat,
  immatureSat: Sat,
  reservedSat: Sat,
})
export const Address = answer('Address', { address: Type.String(), path: Type.String() })
export const Utxo = answer('Utxo', {
  outpoint: OutpointText,
  amountSat: Sat,
  address: Type.String(),
  confirmations: Count,
  locked: Type.Boolean(),
  blockHeight: nullable(Count),
})
const AmountOrAll = Type.Union([PositiveSat, Type.Literal('all')], {
  description:
    'satoshis; or `all`, with no other output: every confirmed coin, or those of `utxos`, less the fee and what must stay in the wallet so that open channels can be closed, and their HTLCs claimed (`reservedSat`)',
})
const SendOnChainFields = request('SendOnChain', {
  outputs: Type.Array(request('SendOutput', { address: AddressText, amountSat: AmountOrAll }), {
    minItems: 1,
    maxItems: 250,
  }),
  feerateSatPerVbyte: Type.Optional(FeerateSatPerVbyte),
  utxos: Type.Optional(Type.Array(OutpointText, { minItems: 1, maxItems: 250 })),
})
const ALL_ALONE = '`all` leaves nothing for another output: let it be the only one, or give each its amount'
export const SendOnChain = withRules(SendOnChainFields, (rule) => [
  rule(['outputs'], ({ outputs }) => {
    const at = outputs.length === 1 ? -1 : outputs.findIndex(({ amountSat }) => amountSat === 'all')
    return at < 0 ? null : [`/outputs/${at}/amountSat`, ALL_ALONE]
  }),
])
export const UtxoQuery = pageQueryWith({
  minConfirmations: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000, description: 'at least so many' })),
  locked: Type.Optional(Type.Boolean({ description: 'only those that are reserved, or that are not' })),
})
export const WalletTransactionQuery = recordQuery({})
export const BumpTransaction = request('BumpTransaction', {
  feerateSatPerVbyte: Type.Optional(FeerateSatPerVbyte),
})
const PsbtText = Type.String({
  minLength: 8,
  maxLength: 120_000,
  pattern: '^[0-9A-Za-z+/]+={0,2}$',
  description: 'a PSBT of version 0 (BIP 174) in base64',
})
export const PsbtRequest = request('PsbtRequest', { psbt: PsbtText })
export const Psbt = answer('Psbt', {
  psbt: Type.String({ description: 'base64' }),
  txid: TxidText,
  feeSat: nullable(Sat),
  complete: Type.Boolean({ description: 'every input is final' }),
  hex: nullable(HexText),
})
export const WalletTransaction = answer('WalletTransaction', {
  id: Type.String(),
  txid: TxidText,
  netSat: SignedSat,
  feeSat: nullable(Sat),
  status: Type.Unsafe<'confirmed' | 'unconfirmed' | 'dropped'>({
    ...oneOf('confirmed', 'unconfirmed', 'dropped'),
    description: 'dropped: another transaction took its place, or the chain refused it; it confirms no more',
  }),
  blockHeight: nullable(Count),
  label: nullable(Type.String()),
  hex: HexText,
  createdAt: TimeText,
})

export const Chain = answer('Chain', {
  network: Type.String(),
  backend: Type.String(),
  height: Count,
  hash: HexText,
  synced: Type.Boolean(),
})
export const Block = answer('Block', {
  hash: HexText,
  height: Count,
  time: Count,
  previousHash: HexText,
  txids: Type.Array(TxidText),
})
export const Transaction = answer('Transaction', {
  txid: TxidText,
  hex: HexText,
  vsize: Count,
  weight: Count,
  confirmations: nullable(Count),
})
export const Fees = answer('Fees', {
  items: Type.Array(answer('FeeEstimate', { targetBlocks: Count, feerateSatPerVbyte: Type.Number() })),
})
export const Mine = request('Mine', {
  blocks: Type.Integer({ minimum: 1, maximum: 1_000 }),
  address: Type.Optional(AddressText),
})
export const Mined = answer('Mined', { blockHashes: Type.Array(HexText) })

export type Wallet = Static<typeof Wallet>
export type Address = Static<typeof Address>
export type Utxo = Static<typeof Utxo>
export type SendOnChain = Static<typeof SendOnChain>
export type UtxoQuery = Static<typeof UtxoQuery>
export type WalletTransactionQuery = Static<typeof WalletTransactionQuery>
export type BumpTransaction = Static<typeof BumpTransaction>
export type Psbt = Static<typeof Psbt>
export type WalletTransaction = Static<typeof WalletTransaction>
export type Chain = Static<typeof Chain>
export type Block = Static<typeof Block>
export type Transaction = Static<typeof Transaction>
export type Fees = Static<typeof Fees>
export type Mined = Static<typeof Mined>
