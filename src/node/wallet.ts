import { type Outpoint, outpointKey, type Txid } from '../base/ids.ts'
import { pack, unpackIfWhole } from '../base/pack.ts'
import type { Sat } from '../base/units.ts'
import type { Psbt } from '../bitcoin/psbt.ts'
import { type Transaction, type TxOutput, txidOf } from '../bitcoin/transaction.ts'
import type { ChainBlock, ChainSource } from '../chain/source.ts'
import { RESOLVED_DEPTH } from '../channel/onchain/plan.ts'
import type { CoinSpender } from '../channel/state.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import { type BuiltTransaction, fundTransaction, type SweepRequest, sweepWallet } from '../wallet/build.ts'
import { type AddFeesRequest, addFees } from '../wallet/bump.ts'
import {
  abandonTransaction,
  addTransaction,
  applyBlock,
  issueAddress,
  rollback,
  skipIssued,
  unlockCoins,
} from '../wallet/coins.ts'
import type { MasterKey, WalletSigner } from '../wallet/keys.ts'
import { walletAccount, walletSigner } from '../wallet/keys.ts'
import { type SignedPsbt, signPsbt } from '../wallet/psbt.ts'
import { type Raised, type RaiseRequest, raiseFee } from '../wallet/raise.ts'
import { isWhole, loadWallet, miscounted, walletRecords } from '../wallet/records.ts'
import { refreshed, restoreWallet } from '../wallet/restore.ts'
import { emptyWallet, type WalletState, type WalletTx } from '../wallet/state.ts'
import { descendants, judge, type Standing, shallowAncestors, unconfirmed } from '../wallet/status.ts'
import { lastSequence } from './paging.ts'
import type { TurnScope } from './reactor.ts'

const WALLET_PREFIX = keys.wallet('')

/** Owners of coins that a PSBT of ours spends begin so. */
export const PSBT_OWNER = 'psbt:'

/** Of a wallet that does not know where it stood, before all blocks. */
const newNumbers = async (driver: Driver) => ({
  ...{ height: 0, hash: '', next: [0, 0] },
  nextOrder: (await lastSequence(driver, keys.walletIndex)) + 1,
})

/** The wallet's state, its signer and its records: every change is written at the end of the turn that made it. */
export class WalletShell {
  readonly #signer: WalletSigner
  readonly #now: () => number
  #state: WalletState
  #stored: WalletState | null
  /** Keys of records that could not be read. */
  #damaged: readonly string[] = []
  #miscounted = 0

  private constructor(signer: WalletSigner, state: WalletState, stored: WalletState | null, now: () => number) {
    this.#signer = signer
    this.#state = state
    this.#stored = stored
    this.#now = now
  }

  /** The wallet as the store has it; null for a new node. @param now Unix milliseconds */
  static async load(driver: Driver, master: MasterKey, now: () => number): Promise<WalletShell | null> {
    const records: [string, unknown][] = []
    const damaged: string[] = []
    for await (const [key, value] of driver.entries(prefixRange(WALLET_PREFIX))) {
      const name = key.slice(WALLET_PREFIX.length)
      const record = unpackIfWhole(value)
      if (isWhole(name, record)) records.push([name, record])
      else damaged.push(key)
    }
    const isNumbered = records.some(([name]) => name === 'numbers')
    const numbers = keys.wallet('numbers')
    if (records.length > 0 && !isNumbered && !damaged.includes(numbers)) damaged.push(numbers)
    if (damaged.includes(numbers)) records.push(['numbers', await newNumbers(driver)])
    const stored = loadWallet(walletAccount(master), records)
    const shell = stored && new WalletShell(walletSigner(master), stored, stored, now)
    if (shell) {
      shell.#damaged = damaged
      shell.#miscounted = miscounted(records, shell.#state)
    }
    return shell
  }

  /** How many records could not be read, or are gone without a trace. */
  get damaged(): number {
    return Math.max(this.#damaged.length, this.#miscounted)
  }

  /**
   * After records were lost: what it owns is looked for in the whole chain.
   * @param issued as for `restore` @throws ChainError
   */
  async refresh(source: ChainSource, issued: readonly [number, number] = [0, 0]): Promise<void> {
    const { account, next } = this.#state
    const least = [Math.max(next[0], issued[0]), Math.max(next[1], issued[1])] as const
    this.#state = refreshed(await restoreWallet(source, account, undefined, least), this.#state)
  }

  /**
   * The wallet of a seed that came from elsewhere: what it owns is looked for in the whole chain.
   * @param issued addresses that had been given out, where a backup says so @throws ChainError
   */
  static async restore(
    source: ChainSource,
    master: MasterKey,
    now: () => number,
    issued?: readonly [number, number],
  ): Promise<WalletShell> {
    const found = await restoreWallet(source, walletAccount(master), undefined, issued)
    return new WalletShell(walletSigner(master), found, null, now)
  }

  /** The wallet of a seed that was made just now: there is nothing before this block. */
  static create(tip: { height: number; hash: WalletState['hash'] }, master: MasterKey, now: () => number): WalletShell {
    return new WalletShell(walletSigner(master), emptyWallet({ account: walletAccount(master), tip }), null, now)
  }

  get state(): WalletState {
    return this.#state
  }

  applyBlock(block: ChainBlock): void {
    this.#state = applyBlock(this.#state, block)
  }
  rollback(height: number, hash: WalletState['hash']): void {
    this.#state = rollback(this.#state, height, hash)
  }

  /** A backup knows that so many addresses of each branch had been given out. */
  skipIssued(issued: readonly [number, number]): void {
    this.#state = skipIssued(this.#state, issued)
  }

  newAddress(): { address: string; path: string; scriptPubKey: Uint8Array } {
    const { state, address, path, scriptPubKey } = issueAddress(this.#state)
    this.#state = state
    return { address, path, scriptPubKey }
  }

  /**
   * Builds and signs; the coins stay locked for the owner until `sent` or `release`.
   * @throws WalletError
   */
  fund(request: {
    readonly outputs: readonly TxOutput[]
    readonly feeratePerKw: number
    readonly owner: string
    readonly reserveSat: Sat
    readonly coins?: readonly Outpoint[]
  }): BuiltTransaction {
    const built = fundTransaction(this.#state, request, this.#signer)
    this.#state = built.state
    return built
  }

  /** As `fund`: all that need not stay goes to one script. @throws WalletError */
  sweep(request: SweepRequest & { readonly reserveSat: Sat }): BuiltTransaction {
    const built = sweepWallet(this.#state, request, this.#signer)
    this.#state = built.state
    return built
  }

  /**
   * Pays for a transaction of a channel: adds inputs, has the rest signed again, and takes it as sent. What was made before for the
   * same first input is replaced when more is to be paid by now, and stays otherwise.
   * @param request.owner names it in the wallet's history too
   * @returns null when it needs nothing of ours
   * @throws WalletError
   */
  bump(request: Omit<AddFeesRequest, 'earlier'>, signAgain: (tx: Transaction) => Transaction): Transaction | null {
    const { tx, owner } = request
    const earlier = this.spenderOf(outpointKey(tx.inputs[0]!)) ?? null
    const built = addFees(this.#state, { ...request, earlier }, this.#signer)
    if (built === null) return earlier
    if (built.coins.length === 0) return null
    this.#state = built.state
    const signed = signAgain(built.tx)
    this.sent(signed, { label: owner, feeSat: built.feeSat })
    this.release(owner)
    return signed
  }

  /** Replaces an unconfirmed transaction, or has a child pay for it; the coins stay locked as `fund` says. @throws WalletError */
  raise(request: RaiseRequest): Raised {
    const raised = raiseFee(this.#state, request, this.#signer)
    this.#state = raised.state
    return raised
  }

  /** Our signatures on a PSBT, and nothing else. @throws WalletError */
  signPsbt(psbt: Psbt, request: { readonly owner: string; readonly reserveSat: Sat }): SignedPsbt {
    return signPsbt(this.#state, psbt, { ...request, signer: this.#signer })
  }

  /** A transaction of ours that is about to be broadcast. */
  sent(tx: Transaction, about: { readonly feeSat?: Sat; readonly label?: string }): void {
    this.#state = addTransaction(this.#state, tx, { now: Math.floor(this.#now() / 1000), ...about })
  }

  release(owner: string): void {
    this.#state = unlockCoins(this.#state, owner)
  }
  /** Frees what nobody needs any more: openings that a crash cut short. */
  releaseUnless(isNeeded: (owner: string) => boolean): void {
    for (const owner of new Set(this.#state.locks.values())) if (!isNeeded(owner)) this.release(owner)
  }
  /** Frees the coins of PSBTs that have not been broadcast. @returns false when there are none */
  releasePsbts(): boolean {
    const owners = [...this.#state.locks.values()].filter((owner) => owner.startsWith(PSBT_OWNER))
    for (const owner of owners) this.release(owner)
    return owners.length > 0
  }
  abandon(txid: Txid): void {
    this.#state = abandonTransaction(this.#state, txid)
  }

  /** All unconfirmed transactions of ours that spend an output: one replaced the other. */
  versionsOf(outpoint: string): readonly Txid[] {
    const { spends, txs } = this.#state
    return (spends.get(outpoint) ?? []).filter((txid) => txs.get(txid)?.height === null)
  }

  /** The transaction of ours, confirmed or able to, that spends this output already. */
  spenderOf(outpoint: string): Transaction | undefined {
    const spenders = this.#state.spends.get(outpoint) ?? []
    const { isAlive } = judge(this.#state)
    const txid = spenders.findLast((id) => isAlive(id))
    return txid === undefined ? undefined : this.#state.txs.get(txid)?.tx
  }
  /** What can still confirm and builds on the transaction of ours that spends this output. */
  builtOn(outpoint: string): readonly WalletTx[] {
    const spender = this.spenderOf(outpoint)
    return spender ? descendants(this.#state, txidOf(spender)) : []
  }
  /** What a transaction spends the outputs of, and waits for a block itself, as it can. */
  waitingParents({ inputs }: Transaction): readonly WalletTx[] {
    const parents = [...new Set(inputs.map((i) => i.txid))].flatMap((txid) => this.#state.txs.get(txid) ?? [])
    const { isAlive } = judge(this.#state)
    return parents.filter((t) => t.height === null && isAlive(t.txid))
  }
  /**
   * What a transaction builds on that a reorganisation, or another wallet of the same words, may undo yet.
   * @param others beside the wallet's own
   */
  ancestorsOf(tx: Transaction, others: ReadonlyMap<Txid, Standing>): readonly CoinSpender[] {
    const { txs, height } = this.#state
    const get = (txid: Txid) => txs.get(txid) ?? others.get(txid)
    const inputsOf = (t: Standing): readonly Outpoint[] => t.tx.inputs.map(({ txid, index }) => ({ txid, index }))
    const found = shallowAncestors({ txs: { get }, height }, tx, RESOLVED_DEPTH)
    return found.map((t) => ({ txid: t.txid, inputs: inputsOf(t) }))
  }
  /** Transactions of this name that wait for a block. */
  waiting(label: string): readonly WalletTx[] {
    return [...this.#state.txs.values()].filter((t) => t.label === label && t.height === null && !t.abandoned)
  }

  /** Those that wait for a block, parents before children. @param isWanted by label */
  unconfirmed(isWanted: (label: string | null) => boolean = () => true): readonly Transaction[] {
    return unconfirmed(this.#state).filter((tx) => isWanted(this.#state.txs.get(txidOf(tx))!.label))
  }

  endOfTurn(scope: TurnScope, onTransaction: (tx: WalletTx, isNew: boolean) => void): void {
    if (this.#state === this.#stored) return
    for (const key of this.#damaged) scope.write({ key })
    this.#damaged = []
    for (const record of walletRecords(this.#stored, this.#state)) {
      const key = keys.wallet(record.key)
      scope.write(record.value === undefined ? { key } : { key, value: pack(record.value) })
    }
    for (const [txid, entry] of this.#state.txs) {
      const before = this.#stored?.txs.get(txid)
      if (before === undefined) scope.write({ key: keys.walletAt(entry.order), value: pack(txid) })
      if (before !== entry && before?.height !== entry.height) onTransaction(entry, before === undefined)
    }
    this.#stored = this.#state
  }
}
