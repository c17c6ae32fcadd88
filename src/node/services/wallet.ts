import { toHex } from '../../base/bytes.ts'
import { outpointKey, type Txid } from '../../base/ids.ts'
import { pack, unpackIfWhole } from '../../base/pack.ts'
import { encodeTransaction } from '../../bitcoin/transaction.ts'
import { keys } from '../../store/schema.ts'
import type { BuiltTransaction } from '../../wallet/build.ts'
import { walletAddress } from '../../wallet/keys.ts'
import type { WalletState, WalletTx } from '../../wallet/state.ts'
import { statusOf, unspentCoins, walletBalance } from '../../wallet/status.ts'
import { ServiceError } from '../errors.ts'
import { isSweep, type SendRequest, type WalletTransactionView } from '../onchainService.ts'
import { pageOfIndex, pageWhere } from '../paging.ts'
import type { NodeParts } from '../parts.ts'
import type { NodeService, PageRequest } from '../service.ts'
import { placesIn, recordsFrom } from '../timeRange.ts'
import { fundSend } from './fundSend.ts'
import { psbtService } from './psbt.ts'
import { bumpTransaction, handed, SEND_LABEL, SWEEP_LABEL } from './walletFees.ts'
import { walletProblem } from './walletProblem.ts'

export type WalletService = Pick<
  NodeService,
  | 'wallet'
  | 'newAddress'
  | 'utxos'
  | 'walletTransactions'
  | 'walletTransaction'
  | 'sendOnChain'
  | 'bumpTransaction'
  | 'psbt'
>

/** What was first seen in a block has the time of that, which a miner may set so far off. */
const BLOCK_TIME_MS = 3 * 3_600_000
const timeMs = (entry: WalletTx): number => entry.seenAt * 1000

const viewOf = (state: WalletState, entry: WalletTx): WalletTransactionView => ({
  id: entry.txid,
  txid: entry.txid,
  netSat: entry.netSat,
  feeSat: entry.feeSat,
  status: statusOf(state, entry),
  blockHeight: entry.height,
  label: entry.label,
  hex: toHex(encodeTransaction(entry.tx)),
  createdAt: new Date(timeMs(entry)).toISOString(),
})

/** The on-chain wallet: coins, history, sends, fees raised, PSBTs. */
export function walletService(parts: NodeParts): WalletService {
  const { wallet, reactor, driver } = parts

  /** Settled transactions are in the store alone. */
  const find = async (txid: string): Promise<WalletTx | null> => {
    const live = wallet.state.txs.get(txid as Txid)
    if (live) return live
    const stored = await driver.get(keys.wallet(`tx/${txid}`))
    return (stored && unpackIfWhole<WalletTx>(stored)) ?? null
  }

  return {
    psbt: psbtService(parts),
    async bumpTransaction(txid, request) {
      const entry = await find(txid)
      if (!entry) throw new ServiceError('NOT_FOUND', `the wallet has no transaction ${txid}`)
      const made = await bumpTransaction(parts, entry, request)
      return viewOf(wallet.state, wallet.state.txs.get(made)!)
    },
    async wallet() {
      const b = walletBalance(wallet.state)
      return {
        confirmedSat: b.confirmedSat,
        unconfirmedSat: b.unconfirmedSat,
        lockedSat: b.lockedSat,
        immatureSat: b.immatureSat,
        reservedSat: parts.reserves.inAll(),
      }
    },
    newAddress: () =>
      reactor.run(() => {
        const { address, path } = wallet.newAddress()
        return { address, path }
      }),
    async utxos() {
      return unspentCoins(wallet.state).map(({ coin, status, confirmations }) => ({
        outpoint: coin.outpoint,
        amountSat: coin.amountSat,
        address: walletAddress(wallet.state.account, coin.branch, coin.keyIndex),
        blockHeight: coin.height,
        confirmations,
        locked: status === 'locked',
      }))
    },
    async walletTransactions(request, { from = 0, to = Number.POSITIVE_INFINITY } = {}) {
      const timeOf = async (txid: Txid): Promise<number | null> => {
        const entry = await find(txid)
        return entry && timeMs(entry)
      }
      const around = {
        ...(from > 0 && { from: from - BLOCK_TIME_MS }),
        ...(Number.isFinite(to) && { to: to + BLOCK_TIME_MS }),
      }
      const at = recordsFrom(driver, keys.walletIndex, timeOf)
      const places = await placesIn(around, wallet.state.nextOrder, at)
      const list = (page: PageRequest) => pageOfIndex(driver, keys.walletIndex, page, find, places)
      const isWithin = (entry: WalletTx): boolean => timeMs(entry) >= from && timeMs(entry) < to
      const { items, nextCursor } = await pageWhere(list, isWithin, request)
      return { items: items.map((entry) => viewOf(wallet.state, entry)), nextCursor }
    },
    async walletTransaction(id) {
      const sent = await driver.get(keys.walletSend(id))
      const txid = sent ? unpackIfWhole<Txid>(sent) : id
      const entry = txid && (await find(txid))
      if (entry) return viewOf(wallet.state, entry)
      if (!sent) throw new ServiceError('NOT_FOUND', `the wallet has no transaction ${id}`)
      // Of what there is none of, it would be sent again.
      const message = `the record of the transaction ${txid ?? id} is damaged: see whether it is in the chain before you send again`
      throw new ServiceError('CONFLICT', message)
    },
    async sendOnChain(request) {
      const tx = await reactor.run((scope) => {
        try {
          const built = send(parts, request)
          // In the same batch as the transaction: a caller that repeats itself after a crash finds it and does not send twice.
          if (request.id !== undefined) scope.write({ key: keys.walletSend(request.id), value: pack(built.txid) })
          return built
        } catch (e) {
          throw walletProblem(e)
        }
      })
      await handed(parts.broadcast(tx.tx, 'wallet'))
      return viewOf(wallet.state, wallet.state.txs.get(tx.txid)!)
    },
  }
}

function send(parts: NodeParts, request: SendRequest): BuiltTransaction {
  const { wallet } = parts
  const owner = `send:${request.utxos?.map(outpointKey).join() ?? ''}:${parts.newId()}`
  const built = fundSend(parts, request, owner)
  try {
    checkLimits(built, request)
    wallet.sent(built.tx, { feeSat: built.feeSat, label: isSweep(request.outputs) ? SWEEP_LABEL : SEND_LABEL })
    return built
  } finally {
    wallet.release(owner)
  }
}

/** @throws ServiceError LIMIT_EXCEEDED */
function checkLimits({ coins, feeSat, changeSat }: BuiltTransaction, { maxFeeSat, maxSpentSat }: SendRequest): void {
  const spentSat = coins.reduce((sum, coin) => sum + coin.amountSat, 0n) - (changeSat ?? 0n)
  if (maxFeeSat !== undefined && feeSat > maxFeeSat) {
    throw new ServiceError('LIMIT_EXCEEDED', `the fee of ${feeSat} sat is more than the ${maxFeeSat} sat allowed`)
  }
  if (maxSpentSat !== undefined && spentSat > maxSpentSat) {
    const why = `${spentSat} sat would be spent, fee included, and ${maxSpentSat} sat are allowed`
    throw new ServiceError('LIMIT_EXCEEDED', `${why}: send an amount, or name the coins`)
  }
}
