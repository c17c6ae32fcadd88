import { onchainOf } from '../channel/describe.ts'
import { shownBy } from '../channel/onchain/events.ts'
import type { OutputSpend } from '../channel/onchain/types.ts'
import type { ChannelState } from '../channel/state.ts'
import type { ChannelEntry, Channels } from './channels.ts'
import type { TurnScope } from './reactor.ts'
import { mayTake } from './standings.ts'

/** What a channel was when it was last looked at: as one that takes what others show, and what it had shown. */
interface Looked {
  readonly end: string | null
  readonly strange: readonly OutputSpend[]
}

type Told = Pick<Channels, 'all' | 'command' | 'drain'>

/**
 * What spends of a commitment that we do not know have shown is tried on every channel that has lost writes, too: the HTLC that was passed
 * on may have come by it, and be as unknown. What is news of one channel is told to all, and all to one whose end is another now: once in a
 * turn, since a block may have hundreds of spends, each of which shows something.
 */
export class ShownPreimages {
  readonly #channels: () => Told
  readonly #looked = new WeakMap<ChannelEntry, Looked>()
  /** By who is to hear of it. */
  readonly #untold = new Map<ChannelEntry, Set<Uint8Array>>()

  constructor(channels: () => Told) {
    this.#channels = channels
  }

  /** A channel that ends has changed. */
  look(entry: ChannelEntry): void {
    const was = this.#looked.get(entry)
    const { state } = entry
    const end = mayTake(state) ? endOf(state) : null
    const strange = strangeOf(state)
    this.#looked.set(entry, { end, strange })
    const all = this.#channels().all()
    if (end !== null && end !== was?.end) for (const other of all) this.#note(entry, shownOf(other))
    if (strange === was?.strange) return
    const news = shownOf(entry, new Set(was?.strange))
    for (const other of news.length > 0 ? all : []) if (mayTake(other.state)) this.#note(other, news)
  }

  /** Handles what waits, and tells what that has shown until there is nothing new. */
  tell(scope: TurnScope): void {
    const channels = this.#channels()
    channels.drain(scope)
    while (this.#untold.size > 0) {
      const untold = [...this.#untold]
      this.#untold.clear()
      for (const [entry, shown] of untold) channels.command(entry, { tag: 'presumeReceived', shown: [...shown] })
      channels.drain(scope)
    }
  }

  #note(entry: ChannelEntry, news: readonly Uint8Array[]): void {
    if (news.length === 0) return
    const shown = this.#untold.get(entry) ?? new Set()
    for (const preimage of news) shown.add(preimage)
    this.#untold.set(entry, shown)
  }
}

const NONE: readonly OutputSpend[] = []
const strangeOf = (state: ChannelState): readonly OutputSpend[] => onchainOf(state)?.strange ?? NONE

/** Another one may take what this has left. */
function endOf(state: ChannelState): string {
  const closing = onchainOf(state)?.closing
  return `${state.tag}:${closing?.kind}:${closing?.txid}:${closing?.height === null}`
}

/** @param known is left out */
function shownOf({ state }: ChannelEntry, known: ReadonlySet<OutputSpend> = new Set()): readonly Uint8Array[] {
  const onchain = onchainOf(state)
  return onchain ? shownBy({ ...onchain, strange: strangeOf(state).filter((spend) => !known.has(spend)) }) : []
}
