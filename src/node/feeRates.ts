import { channelFeerates, type FeeEstimates, followFees, initialEstimates } from '../chain/fees.ts'
import type { ChainSource } from '../chain/source.ts'
import type { ChannelContext } from '../channel/types.ts'
import type { ChannelEntry, Channels } from './channels.ts'
import { FeeUpdates } from './feeUpdates.ts'
import type { Reactor } from './reactor.ts'

/** The fee estimates of the moment, and what they mean for channels. */
export class FeeRates {
  readonly #channels: Channels
  readonly #reactor: Reactor
  readonly #updates: FeeUpdates
  #estimates: FeeEstimates = initialEstimates()
  #ofChannels: ChannelContext['feerates'] = channelFeerates(this.#estimates)

  /** @param now milliseconds of a clock that never goes back */
  constructor(channels: Channels, reactor: Reactor, now: () => number) {
    this.#channels = channels
    this.#reactor = reactor
    this.#updates = new FeeUpdates(channels, now)
  }

  get estimates(): FeeEstimates {
    return this.#estimates
  }
  /** The same object until the estimates change. */
  get ofChannels(): ChannelContext['feerates'] {
    return this.#ofChannels
  }

  /** Reads the estimates from now on until the signal. */
  follow(source: ChainSource, signal: AbortSignal): void {
    void followFees({ source, onEstimates: (estimates) => this.#take(estimates), signal })
  }

  /** A channel is in operation again: estimates may have changed meanwhile. Never by a guess: the peer could find it too low, and close. */
  consider(entry: ChannelEntry): void {
    if (!this.#estimates.isGuess) this.#updates.consider(entry, this.#ofChannels.commitment)
  }

  #take(estimates: FeeEstimates): void {
    this.#reactor.post((scope) => {
      this.#estimates = estimates
      this.#ofChannels = channelFeerates(estimates)
      for (const entry of this.#channels.all()) this.consider(entry)
      this.#channels.drain(scope)
    })
  }
}
