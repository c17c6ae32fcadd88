import type { BlockHash } from '../../base/ids.ts'
import { err, ok, type Result } from '../../base/result.ts'
import { type Block, blockHashOf } from '../../bitcoin/block.ts'
import { genesisBlock } from '../../bitcoin/genesis.ts'
import { type BlockNode, forkOf, isBetter, makeNode, pathTo } from './blockNode.ts'
import { checkBlock, checkHeader, checkPlacement } from './blockRules.ts'
import { type Coin, type CoinSet, disconnectCoins } from './coins.ts'
import { connectBlock } from './connect.ts'
import type { LockContext } from './locks.ts'
import { type Rejection, reject } from './rejection.ts'
import { ScriptCache } from './txRules.ts'

/** What a new tip means: blocks that left the chain, highest first, then blocks that joined it, lowest first. */
export interface TipChange {
  readonly disconnected: readonly BlockNode[]
  readonly connected: readonly BlockNode[]
}

export interface ChainStateOptions {
  /** Unix seconds. */
  readonly now: () => number
  readonly scripts?: ScriptCache
}

/**
 * A regtest chain that validates everything: the tree of blocks, the chain with most work in it, and that chain's unspent outputs.
 * Nothing here is asynchronous, so that nobody sees it between two blocks.
 */
export class ChainState {
  readonly #now: () => number
  readonly #scripts: ScriptCache
  readonly #nodes = new Map<BlockHash, BlockNode>()
  readonly #active: BlockNode[] = []
  readonly #coins: CoinSet = new Map()
  readonly #listeners = new Set<(change: TipChange) => void>()
  /** Blocks that may have more work than the tip, and the tip. */
  #candidates: Set<BlockNode>
  #arrivals = 0
  /** While blocks come back from our own file. */
  #trusting = false

  constructor({ now, scripts = new ScriptCache() }: ChainStateOptions) {
    this.#now = now
    this.#scripts = scripts
    const genesis = makeNode(genesisBlock('regtest'), null, this.#arrivals++)
    genesis.undo = [[]]
    this.#nodes.set(genesis.hash, genesis)
    this.#active.push(genesis)
    this.#candidates = new Set([genesis])
  }

  get tip(): BlockNode {
    return this.#active.at(-1)!
  }
  get height(): number {
    return this.#active.length - 1
  }
  /** Of the active chain. */
  at(height: number): BlockNode | undefined {
    return this.#active[height]
  }
  /** In any chain. */
  node(hash: BlockHash): BlockNode | undefined {
    return this.#nodes.get(hash)
  }
  isActive(node: BlockNode): boolean {
    return this.#active[node.height] === node
  }
  /** Blocks that nothing builds on. */
  leaves(): BlockNode[] {
    const parents = new Set([...this.#nodes.values()].map((n) => n.parent))
    return [...this.#nodes.values()].filter((n) => !parents.has(n))
  }
  coin(key: string): Coin | undefined {
    return this.#coins.get(key)
  }
  /** All unspent outputs, by `txid:index`. */
  get coins(): ReadonlyMap<string, Coin> {
    return this.#coins
  }

  /** Where the next block's transactions stand. */
  nextLocks(): LockContext {
    const { tip } = this
    return {
      height: tip.height + 1,
      medianTimePast: tip.medianTimePast,
      medianTimeAt: (height) => this.#active[height]!.medianTimePast,
    }
  }

  /** Called after every change of the tip, before whoever made it goes on. @returns how to stop it */
  onChange(listener: (change: TipChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Takes a block from outside. A good block of a weaker chain is kept as such.
   * @returns the block's place, or why it was refused
   */
  submit(block: Block): Result<BlockNode, Rejection> {
    const accepted = this.#accept(block)
    if (!accepted.ok) return accepted
    let failure: Rejection | null = null
    this.#activateBest((node, rejection) => {
      if (node === accepted.value) failure = rejection
    })
    return failure ? err(failure) : accepted
  }

  /** As submit, for blocks from our own file: everything but scripts and our own clock is checked. */
  restore(block: Block): Result<BlockNode, Rejection> {
    this.#trusting = true
    try {
      return this.submit(block)
    } finally {
      this.#trusting = false
    }
  }

  /** Treats a block as invalid, with all that builds on it. @returns false for the genesis block */
  invalidate(node: BlockNode): boolean {
    if (!node.parent) return false
    this.#markFailed(node)
    this.#candidates = this.#validNodes()
    this.#activateBest()
    return true
  }

  /** Forgets that a block, its ancestors and its descendants ever failed, and looks at them again. */
  reconsider(node: BlockNode): void {
    for (const other of this.#descendants(node)) other.failed = false
    for (let n: BlockNode | null = node; n; n = n.parent) n.failed = false
    this.#candidates = this.#validNodes()
    this.#activateBest()
  }

  #accept(block: Block): Result<BlockNode, Rejection> {
    const known = this.#nodes.get(blockHashOf(block.header))
    if (known) return err(reject(known.failed ? 'duplicate-invalid' : 'duplicate'))
    const parent = this.#nodes.get(block.header.previousHash)
    if (!parent) return err(reject('prev-blk-not-found'))
    if (parent.failed) return err(reject('bad-prevblk'))
    const node = makeNode(block, parent, this.#arrivals)
    const rejection =
      checkHeader(node, parent, this.#trusting ? Number.POSITIVE_INFINITY : this.#now()) ??
      checkBlock(node) ??
      checkPlacement(node, parent)
    if (rejection) return err(rejection)
    this.#arrivals++
    this.#nodes.set(node.hash, node)
    this.#candidates.add(node)
    return ok(node)
  }

  /** Moves to the chain with most work that holds no failed block; blocks that fail on the way are marked. */
  #activateBest(onFailure: (node: BlockNode, rejection: Rejection) => void = () => {}): void {
    const before = this.tip
    for (let best = this.#best(); best !== this.tip; best = this.#best()) {
      const fork = forkOf(best, this.tip)
      while (this.tip !== fork) this.#disconnectTip()
      for (const node of pathTo(fork, best)) {
        const rejection = this.#connect(node)
        if (!rejection) continue
        this.#markFailed(node)
        this.#candidates = this.#validNodes()
        onFailure(node, rejection)
        break
      }
    }
    this.#candidates = new Set([this.tip])
    if (this.tip === before) return
    const fork = forkOf(before, this.tip)
    const change = { disconnected: pathTo(fork, before).reverse(), connected: pathTo(fork, this.tip) }
    for (const listener of this.#listeners) listener(change)
  }

  #best(): BlockNode {
    let best: BlockNode | null = null
    for (const node of this.#candidates) if (!best || isBetter(node, best)) best = node
    return best!
  }

  #validNodes(): Set<BlockNode> {
    return new Set([...this.#nodes.values()].filter((n) => !n.failed))
  }

  #descendants(node: BlockNode): BlockNode[] {
    return [...this.#nodes.values()].filter((n) => n.height >= node.height && forkOf(n, node) === node)
  }

  #markFailed(node: BlockNode): void {
    for (const n of this.#descendants(node)) n.failed = true
  }

  #connect(node: BlockNode): Rejection | null {
    const connected = connectBlock(node, {
      coins: this.#coins,
      locks: this.nextLocks(),
      scripts: this.#trusting ? null : this.#scripts,
    })
    if (!connected.ok) return connected.error
    connected.value.changes.applyTo(this.#coins)
    node.undo = connected.value.undo
    this.#active.push(node)
    return null
  }

  #disconnectTip(): void {
    const node = this.#active.pop()!
    disconnectCoins(this.#coins, node.block.transactions, node.txids, node.undo!)
    node.undo = null
  }
}
