import type { Txid } from '../../base/ids.ts'
import { pack } from '../../base/pack.ts'
import { weightOf } from '../../bitcoin/transaction.ts'
import { ChainError } from '../../chain/errors.ts'
import { perKw } from '../../chain/fees.ts'
import { keys } from '../../store/schema.ts'
import type { Raised } from '../../wallet/raise.ts'
import type { WalletTx } from '../../wallet/state.ts'
import { ServiceError } from '../errors.ts'
import type { BumpRequest } from '../onchainService.ts'
import type { NodeParts } from '../parts.ts'
import { walletProblem } from './walletProblem.ts'

/** What sends are called in the wallet's history: they alone may be replaced, since nobody else relies on their txids. */
export const SEND_LABEL = 'send'
export const SWEEP_LABEL = 'send all'
/** Without a feerate: at least so much more than before. */
const STEP = 1.25

/**
 * Replaces an unconfirmed transaction by one that pays more, or has a child pay for it. A funding transaction of a channel keeps its
 * txid, which both sides have signed for.
 * @returns the txid of the replacement or the child
 * @throws ServiceError
 */
export async function bumpTransaction(parts: NodeParts, entry: WalletTx, request: BumpRequest): Promise<Txid> {
  const { wallet, reactor } = parts
  const owner = `bump:${entry.txid}:${parts.newId()}`
  const { feerateSatPerVbyte, maxFeeSat, id } = request
  const feeratePerKw = feerateSatPerVbyte === undefined ? usualFeerate(parts, entry) : perKw(feerateSatPerVbyte)
  const raised = await reactor.run((scope): Raised => {
    try {
      const reserveSat = parts.reserves.inAll()
      const isSweep = (t: WalletTx): boolean => t.label === SWEEP_LABEL
      const isReplaceable = (t: WalletTx): boolean => t.label === SEND_LABEL || isSweep(t)
      const made = wallet.raise({ txid: entry.txid, feeratePerKw, owner, isReplaceable, isSweep, reserveSat })
      if (maxFeeSat !== undefined && made.feeSat > maxFeeSat) {
        throw new ServiceError(
          'LIMIT_EXCEEDED',
          `the fee of ${made.feeSat} sat is more than the ${maxFeeSat} sat allowed`,
        )
      }
      const label = made.how === 'replace' ? entry.label! : `fee of ${entry.txid}`
      wallet.sent(made.tx, { feeSat: made.feeSat, label })
      if (id !== undefined) scope.write({ key: keys.walletSend(id), value: pack(made.txid) })
      return made
    } catch (e) {
      throw walletProblem(e)
    } finally {
      wallet.release(owner)
    }
  })
  await publish(parts, raised.txid)
  return raised.txid
}

function usualFeerate(parts: NodeParts, { tx, feeSat }: WalletTx): number {
  const now = feeSat === null ? 0 : (Number(feeSat) * 1000) / weightOf(tx)
  return Math.max(parts.fees().byTarget[2], Math.ceil(now * STEP) + 250)
}

/**
 * What the wallet has taken as sent goes out when the Bitcoin node is there again: who is told that it failed sends it once more, in
 * another transaction. @returns null when the node is away
 */
export const handed = <T>(broadcast: Promise<T>): Promise<T | null> =>
  broadcast.catch((e: unknown) => {
    if (e instanceof ChainError) return null
    throw e
  })

/** Of a transaction that the wallet has taken as sent: one that the chain refuses is given up, and what it spends is free again. */
export async function publish({ wallet, reactor, source }: NodeParts, txid: Txid): Promise<void> {
  const tx = wallet.state.txs.get(txid)?.tx
  if (!tx) return
  const result = await handed(source.broadcast(tx))
  if (result === null || result.accepted) return
  await reactor.run(() => wallet.abandon(txid))
  throw new ServiceError('TRANSACTION_REJECTED', `the chain refused ${txid}: ${result.reason}`)
}
