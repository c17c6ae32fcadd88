import { toHex } from '../../base/bytes.ts'
import { outpointKey, type Txid } from '../../base/ids.ts'
import { BitcoinFormatError } from '../../bitcoin/errors.ts'
import { decodePsbt, extractTransaction, type Psbt } from '../../bitcoin/psbt.ts'
import { encodeTransaction, type Transaction, txidOf } from '../../bitcoin/transaction.ts'
import { verifyInput } from '../../bitcoin/verify.ts'
import { WalletError } from '../../wallet/errors.ts'
import { checkWitnesses, finalisePsbt, psbtFee, psbtText, unsignedPsbt } from '../../wallet/psbt.ts'
import { channelOfLabel } from '../claimLabels.ts'
import { badBody, ServiceError } from '../errors.ts'
import type { PsbtService, PsbtView, SendRequest } from '../onchainService.ts'
import type { NodeParts } from '../parts.ts'
import { PSBT_OWNER } from '../wallet.ts'
import { viaChain } from './chain.ts'
import { fundSend } from './fundSend.ts'
import { publish } from './walletFees.ts'
import { walletProblem } from './walletProblem.ts'

const told = <T>(act: () => T, coins?: string): T => {
  try {
    return act()
  } catch (e) {
    throw walletProblem(e, coins)
  }
}

function read(bytes: Uint8Array): Psbt {
  try {
    return decodePsbt(bytes)
  } catch (e) {
    if (e instanceof BitcoinFormatError) throw badBody('/psbt', e.message, { cause: e })
    throw e
  }
}

function viewOf(psbt: Psbt): PsbtView {
  const tx = extractTransaction(psbt)
  return {
    psbt: psbtText(psbt),
    txid: txidOf(psbt.tx),
    feeSat: psbtFee(psbt),
    complete: tx !== null,
    hex: tx && toHex(encodeTransaction(tx)),
  }
}

/** Transactions that others sign with us, or that are looked at elsewhere before they are sent. @source BIP 174 */
export function psbtService(parts: NodeParts): PsbtService {
  const { wallet, reactor } = parts
  return {
    create: (request) => reactor.run(() => told(() => viewOf(create(parts, request)))),
    async sign(bytes) {
      const psbt = read(bytes)
      const how = { owner: PSBT_OWNER, reserveSat: parts.reserves.inAll() }
      return told(() => viewOf(wallet.signPsbt(psbt, how).psbt), '/psbt')
    },
    finalise: async (bytes) => viewOf(finalisePsbt(read(bytes))),
    async broadcast(bytes): Promise<Txid> {
      const tx = extractTransaction(finalisePsbt(read(bytes)))
      if (!tx) throw badBody('/psbt', 'the PSBT lacks signatures: sign it first, here and elsewhere')
      told(() => checkWitnesses(wallet.state, tx), '/psbt')
      await viaChain(() => checkOthers(parts, tx))
      const txid = txidOf(tx)
      await reactor.run(() => {
        checkUnclaimed(tx, wallet)
        wallet.sent(tx, { label: 'psbt' })
      })
      await publish(parts, txid)
      return txid
    },
    async release(bytes) {
      const spends = read(bytes).tx.inputs.map(outpointKey)
      await reactor.run(() => {
        for (const key of spends) {
          const owner = wallet.state.locks.get(key)
          if (owner?.startsWith(PSBT_OWNER)) wallet.release(owner)
        }
      })
    },
  }
}

/**
 * The wallet takes it for what spends its inputs before the chain has seen it: one that never can, being wrongly signed, would be in the
 * way of what a channel has to pay for with the same.
 */
async function checkOthers({ source, wallet }: NodeParts, tx: Transaction): Promise<void> {
  for (const [i, input] of tx.inputs.entries()) {
    if (wallet.state.coins.has(outpointKey(input))) continue
    const { txid, index } = input
    const spent = (await source.utxo({ txid, index }))?.output ?? (await source.transaction(txid))?.outputs[index]
    const result = spent && verifyInput(tx, i, spent)
    if (result?.ok) continue
    const why = result
      ? `is not rightly signed: ${result.detail}`
      : 'spends what is neither in the chain nor in the mempool'
    throw walletProblem(new WalletError('PSBT_REFUSED', `input ${i} ${why}`), '/psbt')
  }
}

/** Claims take the coins of a PSBT where there are no others: it would replace them. */
function checkUnclaimed({ inputs }: Transaction, wallet: NodeParts['wallet']): void {
  for (const key of inputs.map(outpointKey)) {
    const spender = wallet.spenderOf(key)
    const label = spender && wallet.state.txs.get(txidOf(spender))?.label
    if (channelOfLabel(label ?? null) === null) continue
    const why = `${key} pays for what a closing channel has to claim, which cannot wait as this can`
    throw new ServiceError('CONFLICT', `${why}: make the PSBT anew, with other coins`)
  }
}

function create(parts: NodeParts, request: SendRequest): Psbt {
  const built = fundSend(parts, request, `${PSBT_OWNER}${parts.newId()}`)
  return unsignedPsbt(parts.wallet.state, built.tx)
}
