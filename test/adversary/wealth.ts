import { equalBytes, toHex } from '../../src/base/bytes.ts'
import { outpointKey } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { WalletShell } from '../../src/node/wallet.ts'
import { InsufficientFundsError } from '../../src/wallet/errors.ts'
import { unconfirmed } from '../../src/wallet/status.ts'
import type { Chain } from './chain.ts'

export const SEND = 'send'
const ELSEWHERE = p2wsh(Uint8Array.of(1))

/** What the wallet of an honest node is worth, and what its people do with it. */
export class Wealth {
  readonly #wallet: WalletShell
  readonly #startSat: bigint

  constructor(wallet: WalletShell, startSat: bigint) {
    this.#wallet = wallet
    this.#startSat = startSat
  }

  /** People send as much as the node lets them; what it keeps is for channels with anchors (services/wallet.ts). @returns null when it lets them send nothing */
  spendAll(feeratePerKw: number, reserveSat: Sat): Transaction | null {
    let amountSat = this.#startSat as Sat
    for (let tries = 0; tries < 4 && amountSat > 1_000n; tries++) {
      const outputs = [{ amountSat, scriptPubKey: ELSEWHERE }]
      try {
        const { tx, feeSat } = this.#wallet.fund({ outputs, feeratePerKw, owner: SEND, reserveSat })
        this.#wallet.sent(tx, { feeSat, label: SEND })
        this.#wallet.release(SEND)
        return tx
      } catch (e) {
        if (!(e instanceof InsufficientFundsError)) throw e
        amountSat = (amountSat - e.missingSat) as Sat
      }
    }
    return null
  }

  /** sat that there are more in the wallet than at the start, what people sent with it included. */
  earned(chain: Chain): bigint {
    let sum = -this.#startSat
    const { scripts } = this.#wallet.state
    for (const { output } of chain.coins().values())
      if (scripts.has(toHex(output.scriptPubKey)) || equalBytes(output.scriptPubKey, ELSEWHERE)) sum += output.amountSat
    return sum
  }

  /** Coins that nothing will ever set free. */
  loose(): readonly string[] {
    const { state } = this.#wallet
    const waiting = unconfirmed(state).filter((tx) => tx.inputs.some((i) => state.coins.has(outpointKey(i))))
    const locked = [...state.locks.keys()].map((key) => `${key} is locked`)
    return [...waiting.map((tx) => `${txidOf(tx)} waits in the wallet`), ...locked]
  }
}
