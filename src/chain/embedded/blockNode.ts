import type { BlockHash, Txid } from '../../base/ids.ts'
import { type Block, type BlockHeader, blockHashOf, workOfBits } from '../../bitcoin/block.ts'
import { txidOf, wtxidBytes } from '../../bitcoin/transaction.ts'
import type { Coin } from './coins.ts'

/** A block in the tree of all that were accepted. Links and numbers never change; `failed` and `undo` do. */
export interface BlockNode {
  readonly hash: BlockHash
  readonly block: Block
  readonly txids: readonly Txid[]
  /** Wire order. */
  readonly wtxids: readonly Uint8Array[]
  readonly parent: BlockNode | null
  readonly height: number
  /** Of the whole chain up to here. */
  readonly chainWork: bigint
  /** Median time of this block and the ten before it. */
  readonly medianTimePast: number
  /** Arrival number: of two chains of equal work the first one stays. */
  readonly arrival: number
  /** It or a block below it broke a rule, or an operator said so: it is left alone. */
  failed: boolean
  /** What each transaction spent, while the block is in the active chain. */
  undo: readonly (readonly Coin[])[] | null
}

export function makeNode(block: Block, parent: BlockNode | null, arrival: number): BlockNode {
  return {
    hash: blockHashOf(block.header),
    block,
    txids: block.transactions.map(txidOf),
    wtxids: block.transactions.map(wtxidBytes),
    parent,
    height: parent ? parent.height + 1 : 0,
    chainWork: (parent?.chainWork ?? 0n) + workOfBits(block.header.bits),
    medianTimePast: medianTime(block.header, parent),
    arrival,
    failed: false,
    undo: null,
  }
}

const MEDIAN_SPAN = 11

function medianTime(header: BlockHeader, parent: BlockNode | null): number {
  const times = [header.time]
  for (let n = parent; n && times.length < MEDIAN_SPAN; n = n.parent) times.push(n.block.header.time)
  times.sort((a, b) => a - b)
  return times[times.length >> 1]!
}

/** More work, or the same and seen earlier. */
export const isBetter = (a: BlockNode, b: BlockNode): boolean =>
  a.chainWork > b.chainWork || (a.chainWork === b.chainWork && a.arrival < b.arrival)

/** The last block that two chains share. */
export function forkOf(a: BlockNode, b: BlockNode): BlockNode {
  let [x, y] = [a, b]
  while (x !== y) {
    if (x.height >= y.height) x = x.parent!
    else y = y.parent!
  }
  return x
}

/** The blocks above `from` up to `to`, lowest first. */
export function pathTo(from: BlockNode, to: BlockNode): BlockNode[] {
  const path: BlockNode[] = []
  for (let n = to; n !== from; n = n.parent!) path.push(n)
  return path.reverse()
}
