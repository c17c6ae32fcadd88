import { outpointKey } from '../base/ids.ts'
import { type Sat, sat, satToMsat } from '../base/units.ts'
import { perKw } from '../chain/fees.ts'
import { decodeInvoice, type Invoice } from '../invoice/bolt11.ts'
import { ServiceError } from '../node/errors.ts'
import { type BumpRequest, isSweep, type SendRequest, type WalletTransactionView } from '../node/onchainService.ts'
import type {
  ChannelView,
  CloseChannelRequest,
  NodeService,
  OpenChannelRequest,
  PaymentView,
  PayRequest,
} from '../node/service.ts'
import { defaultMaxFee } from '../payment/request.ts'
import { mostFee, mostFeeOf, type Spend } from '../wallet/mostFee.ts'
import { Budgets, type Reservation } from './auth/budgets.ts'
import type { Caller } from './auth/keyEntry.ts'
import type { KeyRing } from './auth/keys.ts'
import { ApiProblem, badField } from './problems.ts'

/** Virtual bytes of what every transaction of ours has, a few outputs included; and of each input. */
const BASE_VBYTES = 200
const OUTPUT_VBYTES = 43
const INPUT_VBYTES = 69
/** Change too small to keep goes to the fee. */
const DROPPED_CHANGE_SAT = 1_000n
/** The target, in blocks, of a transaction whose fee rate the caller does not choose. */
const USUAL_TARGET = 6

/** sat per vbyte, where the node chooses the feerate of a bump; and outputs of what is bumped. */
const MOST_BUMP_FEERATE = 500
const BUMPED_OUTPUTS = 10

const ENDING: ReadonlySet<string> = new Set(['shutdown', 'negotiating', 'waiting-for-peer', 'closing', 'closed'])

/** The calls that cost money, each within the budgets of its caller. A caller without budgets goes straight to the node. */
export class Spending {
  readonly budgets: Budgets
  readonly #service: NodeService
  readonly #stop: () => void

  constructor(service: NodeService, keys: KeyRing) {
    this.#service = service
    this.budgets = new Budgets(service.apiStore, keys, (reservation) => this.#costOf(reservation))
    this.#stop = service.onEvent(({ type, data }) => {
      const kind = type.split('.', 1)[0]
      if (kind === 'payment' || kind === 'channel') void this.budgets.onDecided([data.id, data.paymentHash])
      // What an opening costs is known when the wallet has the funding transaction.
      else if (kind === 'wallet') void this.budgets.decideAll('open')
    })
  }

  close(): void {
    this.#stop()
  }

  async pay(caller: Caller, request: PayRequest): Promise<PaymentView> {
    if (!this.budgets.limits(caller.keyId)) return this.#service.pay(request)
    const id = request.id ?? this.#service.newId()
    const invoice = request.bolt11 === undefined ? null : readInvoice(request.bolt11)
    const amountMsat = request.amountMsat ?? invoice?.amountMsat ?? null
    if (amountMsat === null) throw badField('body', '/amountMsat', 'the invoice leaves the amount to the payer')
    const maxFeeMsat = request.maxFeeMsat ?? defaultMaxFee(amountMsat)
    const reservation = {
      id,
      kind: 'payment',
      refs: invoice ? [invoice.paymentHash] : [],
      msat: amountMsat + maxFeeMsat,
      fixedMsat: amountMsat,
    } as const
    return this.budgets.spend(caller.keyId, reservation, () => this.#service.pay({ ...request, id, maxFeeMsat }))
  }

  async send(caller: Caller, request: SendRequest): Promise<WalletTransactionView> {
    if (!this.budgets.limits(caller.keyId)) return this.#service.sendOnChain(request)
    const id = request.id ?? this.#service.newId()
    const { outputs } = request
    if (isSweep(outputs)) return this.#sweep(caller, { ...request, id })
    const fixedMsat = outputs.reduce((sum, output) => sum + satToMsat(output.amountSat), 0n)
    // Chosen here, so that it is known what the fee can come to.
    const feerateSatPerVbyte = request.feerateSatPerVbyte ?? (await this.#usualFeerate())
    const spend = { targetSat: fixedMsat / 1000n, outputs: outputs.length, feeratePerKw: perKw(feerateSatPerVbyte) }
    const most = satToMsat(request.utxos ? mostFeeOf(request.utxos.length, spend) : await this.#mostFee(spend))
    // The wallet is told how much the fee may be, so that no more than that needs to be set aside.
    const left = this.budgets.available(caller.keyId) - fixedMsat
    const feeMsat = left > 0n && left < most ? left : most
    const maxFeeSat = sat(feeMsat / 1000n)
    const reservation = { id, kind: 'send', refs: [], msat: fixedMsat + feeMsat, fixedMsat } as const
    return this.budgets.spend(caller.keyId, reservation, () =>
      this.#service.sendOnChain({ ...request, id, feerateSatPerVbyte, maxFeeSat }),
    )
  }

  /** What it comes to is known once it is built: the wallet is told how much that may be. */
  async #sweep(caller: Caller, request: SendRequest & { readonly id: string }): Promise<WalletTransactionView> {
    const named = request.utxos && new Set(request.utxos.map(outpointKey))
    const coins = (await this.#service.utxos()).filter(({ outpoint }) => named?.has(outpointKey(outpoint)) ?? true)
    const most = coins.reduce((sum, coin) => sum + satToMsat(coin.amountSat), 0n)
    const left = this.budgets.available(caller.keyId)
    const msat = left > 0n && left < most ? left : most
    const reservation = { id: request.id, kind: 'sweep', refs: [], msat, fixedMsat: 0n } as const
    return this.budgets.spend(caller.keyId, reservation, () =>
      this.#service.sendOnChain({ ...request, maxSpentSat: sat(msat / 1000n) }),
    )
  }

  /** The whole fee counts, though a replacement pays only what it adds: a budget errs to the safe side. */
  async bump(caller: Caller, txid: string, request: BumpRequest): Promise<WalletTransactionView> {
    if (!this.budgets.limits(caller.keyId)) return this.#service.bumpTransaction(txid, request)
    const id = request.id ?? this.#service.newId()
    const left = this.budgets.available(caller.keyId)
    const most = await this.#mostOfBump(request.feerateSatPerVbyte ?? MOST_BUMP_FEERATE)
    const msat = left > 0n && left < most ? left : most
    const reservation = { id, kind: 'send', refs: [], msat, fixedMsat: 0n } as const
    return this.budgets.spend(caller.keyId, reservation, () =>
      this.#service.bumpTransaction(txid, { ...request, id, maxFeeSat: sat(msat / 1000n) }),
    )
  }

  /** A signature on a PSBT can be used at any time, or never: a budget cannot follow it. @throws ApiProblem BUDGET_EXCEEDED */
  checkUnlimited(caller: Caller): void {
    if (!this.budgets.limits(caller.keyId)) return
    throw new ApiProblem(
      'BUDGET_EXCEEDED',
      'A key with a budget signs no PSBT: send with POST /v1/wallet/transactions.',
    )
  }

  async open(caller: Caller, request: OpenChannelRequest): Promise<ChannelView> {
    if (!this.budgets.limits(caller.keyId)) return this.#service.openChannel(request)
    const id = request.id ?? this.#service.newId()
    const fixedMsat = request.pushMsat ?? 0n
    // Chosen here, so that it is known what the funding transaction can cost.
    const feerateSatPerVbyte = request.feerateSatPerVbyte ?? (await this.#usualFeerate())
    const spend = { targetSat: request.capacitySat, outputs: 1, feeratePerKw: perKw(feerateSatPerVbyte) }
    const most = fixedMsat + satToMsat(await this.#mostFee(spend))
    const reservation = { id, kind: 'open', refs: [], msat: most, fixedMsat } as const
    return this.budgets.spend(caller.keyId, reservation, () =>
      this.#service.openChannel({ ...request, id, feerateSatPerVbyte }),
    )
  }

  /**
   * A close to an address takes our whole side out of the node, and what hangs in HTLCs, which may come to us before it ends; any other
   * costs what a closing transaction costs, which each side may pay. So does each raise of the fee, and each new address. Where a
   * commitment may be revoked, our whole side is at stake.
   */
  async closeChannel(caller: Caller, channelId: string, request: CloseChannelRequest): Promise<ChannelView> {
    const close = () => this.#service.closeChannel(channelId, request)
    if (!this.budgets.limits(caller.keyId)) return close()
    const view = await this.#service.channel(channelId)
    const isRepeated = request.address === undefined && request.feerateSatPerVbyte === undefined
    if (ENDING.has(view.state) && isRepeated && !request.force) return close()
    const feerate = request.feerateSatPerVbyte ?? (await this.#usualFeerate())
    const isAll = request.address !== undefined || request.acceptRisk !== undefined
    const cost = isAll ? mostOf(view) : satToMsat(sat(Math.ceil(feerate * BASE_VBYTES)))
    const id = this.#service.newId()
    const reservation = { id, kind: 'close', refs: [view.id], msat: cost, fixedMsat: cost } as const
    return this.budgets.spend(caller.keyId, reservation, close)
  }

  /** What became of a reservation; null: not known yet. @throws when the node does not answer */
  async #costOf(reservation: Reservation): Promise<bigint | null> {
    try {
      switch (reservation.kind) {
        case 'payment':
          return await this.#paymentCost(reservation)
        case 'send': {
          const { feeSat } = await this.#service.walletTransaction(reservation.id)
          return feeSat === null ? reservation.msat : reservation.fixedMsat + satToMsat(feeSat)
        }
        case 'sweep': {
          const { netSat } = await this.#service.walletTransaction(reservation.id)
          return -netSat * 1000n
        }
        case 'open':
          return await this.#openingCost(reservation)
        case 'close': {
          const { state } = await this.#service.channel(reservation.refs[0] ?? '')
          return ENDING.has(state) ? reservation.msat : 0n
        }
      }
    } catch (error) {
      // It was never begun.
      if (error instanceof ServiceError && error.code === 'NOT_FOUND') return 0n
      return null
    }
  }

  async #paymentCost({ id, refs, at, msat }: Reservation): Promise<bigint | null> {
    const view = await this.#service.payment(id).catch((error) => {
      const [hash] = refs
      if (hash === undefined) throw error
      return this.#service.payment(hash)
    })
    // A hash that was paid before was not paid by this call: it was refused.
    if (view.id !== id && Date.parse(view.createdAt) < at) return 0n
    if (view.status === 'pending') return null
    // It may have been paid, and nothing may ever tell. Of an earlier try that was counted for that one.
    if (view.failure?.code === 'OUTCOME_UNKNOWN') return view.failure.isOfEarlier ? 0n : msat
    return view.status === 'succeeded' ? view.amountMsat + view.feeMsat : 0n
  }

  async #openingCost({ id, fixedMsat }: Reservation): Promise<bigint | null> {
    const { funding, state, capacitySat } = await this.#service.channel(id)
    if (funding === null) return state === 'closed' ? 0n : null
    if (state === 'opening') return null
    const tx = await this.#service.walletTransaction(funding.txid).catch(() => null)
    // Closed before the funding transaction was ever sent.
    if (tx === null) return state === 'closed' ? 0n : null
    return fixedMsat + (tx.feeSat ?? -tx.netSat - capacitySat) * 1000n
  }

  async #mostFee(spend: Spend): Promise<Sat> {
    const free = (await this.#service.utxos()).filter((utxo) => !utxo.locked)
    return mostFee(
      free.map(({ amountSat }) => amountSat),
      spend,
    )
  }

  /** The most that a bump could pay, which may add any of our coins. */
  async #mostOfBump(feerateSatPerVbyte: number): Promise<bigint> {
    const inputs = (await this.#service.utxos()).filter((utxo) => !utxo.locked).length
    const vbytes = BASE_VBYTES + BUMPED_OUTPUTS * OUTPUT_VBYTES + inputs * INPUT_VBYTES
    return satToMsat(sat(BigInt(Math.ceil(vbytes * feerateSatPerVbyte)) + DROPPED_CHANGE_SAT))
  }

  async #usualFeerate(): Promise<number> {
    const estimates = await this.#service.chainFees()
    const usual = estimates.find((estimate) => estimate.targetBlocks === USUAL_TARGET) ?? estimates.at(-1)
    return Math.max(1, usual?.feerateSatPerVbyte ?? 1)
  }
}

/** The most that a channel can come to pay us. */
const mostOf = ({ localMsat, htlcs }: ChannelView): bigint =>
  htlcs.reduce((sum, { amountMsat }) => sum + amountMsat, localMsat as bigint)

function readInvoice(bolt11: string): Invoice {
  try {
    return decodeInvoice(bolt11)
  } catch (error) {
    throw new ApiProblem('INVOICE_INVALID', error instanceof Error ? error.message : 'The invoice cannot be read.')
  }
}
