import { toHex } from '../../src/base/bytes.ts'
import type { NodeId } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { secpSigner } from '../../src/channel/signer.ts'
import type { ChannelPolicy } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { channelPolicy } from '../../src/node/policy.ts'

export const START = 1_000
export const CHAIN_HASH = new Uint8Array(32).fill(6)
/** As in production, but for delays that make a schedule long. */
export const POLICY: ChannelPolicy = { ...channelPolicy('regtest'), toSelfDelay: 24, dustLimitSat: sat(354) }

const signers = new Map<string, ReturnType<typeof secpSigner>>()
/** Keys of one side of one channel. */
export function signerOf(owner: string): ReturnType<typeof secpSigner> {
  let signer = signers.get(owner)
  if (!signer) {
    const seed = (what: string): Uint8Array => crypto.sha256(new TextEncoder().encode(`${owner} ${what}`))
    signer = secpSigner(seed('channel'), seed('node'))
    signers.set(owner, signer)
  }
  return signer
}
const nodeIds = new Map<string, NodeId>()
export function nodeIdOf(owner: string): NodeId {
  let id = nodeIds.get(owner)
  if (!id) {
    id = toHex(crypto.publicKey(crypto.sha256(new TextEncoder().encode(`${owner} id`)))) as NodeId
    nodeIds.set(owner, id)
  }
  return id
}
