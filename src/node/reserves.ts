import type { Sat } from '../base/units.ts'
import { ANCHOR_RESERVE_SAT, anchorReserve } from '../wallet/build.ts'
import type { Channels } from './channels.ts'
import type { ClaimRoom } from './claimRoom.ts'
import { anchorChannels } from './holdings.ts'

interface ReservesParts {
  readonly channels: Pick<Channels, 'all'>
  readonly claims: ClaimRoom
}

/** What the wallet keeps back. @source docs/decisions/0013-anchor-reserve.md */
export class Reserves {
  readonly #parts: ReservesParts
  readonly #ofEach: Sat

  constructor(parts: ReservesParts, ofEach: Sat = ANCHOR_RESERVE_SAT) {
    this.#parts = parts
    this.#ofEach = ofEach
  }

  /** For the close of channels with anchors: those that there are, and so many more. */
  forCloses(more = 0): Sat {
    return anchorReserve(Math.max(0, anchorChannels(this.#parts.channels.all()) + more), this.#ofEach)
  }

  /** The same, and what claiming the HTLCs under way may need beyond it: other spendings leave it. */
  inAll(more = 0): Sat {
    const forCloses = this.forCloses(more)
    return (forCloses + this.#parts.claims.needSat(forCloses, this.#ofEach)) as Sat
  }
}
