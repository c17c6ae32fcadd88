import { concatBytes, utf8 } from '../base/bytes.ts'
import type { ShortChannelId } from '../base/ids.ts'
import { crypto } from '../crypto/crypto.ts'
import type { Channel } from './state.ts'

/** Above every block of the next century, so that no alias is the short channel id of a channel. */
const NO_BLOCK = 1n << 63n
const ABOUT = utf8('fulmen short_channel_id alias')

/**
 * By which name the peer may have others find this channel, in its invoices for one: eclair tells nobody the real one of a channel
 * that is not announced, and cannot be paid over it without this. The same whenever it is asked for; who sees it learns nothing, since
 * only the two ends know the basepoint.
 * @source BOLT 2 §the-channel_ready-message
 */
export function localAlias({ params }: Channel): ShortChannelId {
  const hash = crypto.sha256(concatBytes(ABOUT, params.local.basepoints.htlcBasepoint))
  const view = new DataView(hash.buffer, hash.byteOffset, 8)
  return (view.getBigUint64(0) | NO_BLOCK) as ShortChannelId
}
