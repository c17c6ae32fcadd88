import { msat } from '../../src/base/units.ts'
import type { MessageNamed } from '../../src/wire/registry.ts'
import { add, preimageOf, reachNormal, type World } from './harness.ts'
import type { Side } from './side.ts'

/** Alice has an HTLC out and one in that she has the preimage of; then her program starts on a store that lost a write. */
export function doubting(): World {
  const w = reachNormal({ pushMsat: msat(400_000_000) })
  w.alice.command(add(1, 5_000_000))
  w.settle()
  w.bob.command(add(2, 5_000_000))
  w.settle()
  w.alice.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(2) })
  w.disconnect()
  w.alice.broadcasts = []
  w.alice.crash()
  w.alice.step({ tag: 'doubted' })
  return w
}
export const isUnproven = (side: Side): boolean => side.channel.unproven === true
/** What bob says of where the channel stands, by numbers that are not his. */
export const falseReestablish = (w: World, nextCommitmentNumber: bigint): MessageNamed<'channel_reestablish'> => ({
  type: 'channel_reestablish',
  channelId: w.alice.channel.params.channelId,
  nextCommitmentNumber,
  nextRevocationNumber: 0n,
  yourLastPerCommitmentSecret: new Uint8Array(32),
  myCurrentPerCommitmentPoint: w.bob.ctx.signer.commitmentPoint(0),
})
