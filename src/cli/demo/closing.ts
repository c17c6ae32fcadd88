import type { Channel } from '../../api/schemas.ts'
import { mine, type Party, untilChannel } from './steps.ts'
import { DemoError } from './wait.ts'

/** One side of a channel that is being closed. */
export interface ClosingSide {
  readonly party: Party
  readonly channelId: string
}

/** Blocks mined at a time while the delays of a forced close run. */
const STEP = 12
/** No delay that we agree to is longer than this. */
const MAX_BLOCKS = 3_000

/** Waits until the transaction that closes it is known to both sides. */
export const untilClosing = ({ party, channelId }: ClosingSide, signal: AbortSignal): Promise<Channel> =>
  untilChannel(party, channelId, {
    signal,
    what: 'has a closing transaction',
    done: (channel) => channel.closing !== null && channel.closing.txid !== null,
  })

/**
 * Mines until every side says that nothing is left to claim and everything is deep enough.
 * @throws DemoError when that does not come
 */
export async function mineUntilResolved(
  parties: readonly Party[],
  sides: readonly ClosingSide[],
  options: { signal: AbortSignal; onBlocks: (mined: number, waitsFor: string) => void },
): Promise<Channel[]> {
  for (let mined = 0; ; mined += STEP) {
    const views = await Promise.all(sides.map(({ party, channelId }) => party.client.channels.get(channelId)))
    const open = views.filter((view) => view.closing?.resolved !== true)
    if (open.length === 0) return views
    const waitsFor = open.map((view) => view.waitsFor ?? view.state).join('; ')
    if (mined >= MAX_BLOCKS) throw new DemoError(`${mined} blocks did not resolve the closed channels: ${waitsFor}`)
    options.onBlocks(mined, waitsFor)
    await mine(parties, STEP, { signal: options.signal })
  }
}
