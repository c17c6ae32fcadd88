import type { BlockHash } from '../base/ids.ts'
import { integer, list, record } from './answers.ts'
import type { Clock } from './clock.ts'
import { ChainError } from './errors.ts'

export interface PrunedBlocksOptions {
  /** Calls the backend. @throws ChainError */
  readonly read: (method: string, params: readonly unknown[]) => Promise<unknown>
  readonly clock: Clock
}

/** Peers of the Bitcoin node that are asked for one block, one after the other. */
const MOST_PEERS = 4
/** For each of them. */
const PATIENCE_MS = 10_000
const LOOK_MS = 250

/**
 * Has a Bitcoin node fetch a block again that it has deleted: after a longer rest ours needs all that came meanwhile, and deadlines do not
 * wait for a person to ask for hundreds of blocks.
 * @param get reads the block @returns what `get` gives; null when no peer sent the block
 * @throws ChainError, and what `get` throws, but for PRUNED
 */
export async function fetchAgain<T>(
  hash: BlockHash,
  get: () => Promise<T>,
  { read, clock }: PrunedBlocksOptions,
): Promise<T | null> {
  for (const peer of await peersWithAll(read)) {
    const asked = await read('getblockfrompeer', [hash, peer]).then(() => true, isRefusal)
    for (let waited = 0; asked && waited < PATIENCE_MS; waited += LOOK_MS) {
      await clock.sleep(LOOK_MS)
      const found = await get().then((value) => ({ value }), isStillPruned)
      if (found) return found.value
    }
  }
  return null
}

/** Those that keep all blocks, by their numbers; any that came first. */
async function peersWithAll(read: PrunedBlocksOptions['read']): Promise<readonly number[]> {
  const said = await read('getpeerinfo', []).catch(isRefusal)
  const peers = said === false ? [] : list(said, 'getpeerinfo').map((p) => record(p, 'getpeerinfo'))
  const able = peers.filter((p) => Array.isArray(p.servicesnames) && p.servicesnames.includes('NETWORK'))
  return able.slice(0, MOST_PEERS).map((p) => integer(p.id, 'id'))
}

/** The peer is gone, or does not want to; or the Bitcoin node is too old for such a call, or may not take it from us. */
function isRefusal(e: unknown): false {
  if (e instanceof ChainError && (e.code === 'RPC_ERROR' || e.code === 'UNAUTHORIZED')) return false
  throw e
}

function isStillPruned(e: unknown): null {
  if (e instanceof ChainError && e.code === 'PRUNED') return null
  throw e
}
