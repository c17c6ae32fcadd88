import { pack } from '../base/pack.ts'
import type { PaymentEvent } from '../payment/types.ts'
import { keys } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import type { EventLog } from './events.ts'
import { lastSequence } from './paging.ts'
import type { TurnScope } from './reactor.ts'

export interface ForwardEventsOptions {
  readonly driver: Driver
  readonly events: EventLog
  /** Unix milliseconds. */
  readonly now: () => number
}

/** Tells how forwards end. Those that are settled have a record each, for good. */
export class ForwardEvents {
  readonly #options: ForwardEventsOptions
  #next = 1

  constructor(options: ForwardEventsOptions) {
    this.#options = options
  }

  async load(): Promise<void> {
    this.#next = (await lastSequence(this.#options.driver, 'forward/')) + 1
  }

  tell(event: Extract<PaymentEvent, { forward: unknown }>, scope: TurnScope): void {
    const { events, now } = this.#options
    const { forward, detail } = event
    const data = {
      paymentHash: forward.paymentHash,
      incomingChannelId: forward.incomingChannelId,
      outgoingChannelId: forward.outgoingChannelId,
      amountInMsat: Number(forward.amountInMsat),
      amountOutMsat: Number(forward.amountOutMsat),
      feeMsat: Number(forward.amountInMsat - forward.amountOutMsat),
    }
    if (event.type === 'forward.failed') {
      events.emitForwardFailed(scope, forward.incomingChannelId, { ...data, detail })
      return
    }
    scope.write({ key: keys.forward(this.#next++), value: pack({ ...data, at: now() }) })
    events.emit(scope, event.type, { ...data, detail })
  }
}
