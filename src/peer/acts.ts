import { ok, type Result } from '../base/result.ts'
import {
  ACT_ONE_LENGTH,
  ACT_THREE_LENGTH,
  ACT_TWO_LENGTH,
  type HandshakeFault,
  initiatorActTwo,
  type NoiseKey,
  responderActOne,
  responderActThree,
  startInitiator,
  startResponder,
  type TransportKeys,
} from '../noise/handshake.ts'

/** A handshake that waits for the bytes of one act. */
export interface Act {
  readonly name: 'act one' | 'act two' | 'act three'
  /** Bytes that it needs, exactly. */
  readonly length: number
  receive(bytes: Uint8Array): Result<ActDone, HandshakeFault>
}
/** What an act leads to: bytes to send, and the next act or the keys. */
export interface ActDone {
  readonly send: Uint8Array | null
  readonly next: Act | { readonly keys: TransportKeys; readonly remote: Uint8Array }
}

/** The dialler's: act one to send, act two to wait for. */
export function dialActs(local: NoiseKey, ephemeral: NoiseKey, remote: Uint8Array): Result<ActDone, HandshakeFault> {
  const started = startInitiator({ local, ephemeral, remote })
  if (!started.ok) return started
  const { state, message } = started.value
  const actTwo: Act = {
    name: 'act two',
    length: ACT_TWO_LENGTH,
    receive(bytes) {
      const done = initiatorActTwo(state, bytes)
      return done.ok ? ok({ send: done.value.message, next: { keys: done.value.keys, remote } }) : done
    },
  }
  return ok({ send: message, next: actTwo })
}

/** @param ephemeral made only when act one is there: a connection that says nothing costs no key */
export function answerActs(local: NoiseKey, ephemeral: () => NoiseKey): Act {
  return {
    name: 'act one',
    length: ACT_ONE_LENGTH,
    receive(bytes) {
      const answered = responderActOne(startResponder({ local, ephemeral: ephemeral() }), bytes)
      if (!answered.ok) return answered
      const { state, message } = answered.value
      const actThree: Act = {
        name: 'act three',
        length: ACT_THREE_LENGTH,
        receive(last) {
          const done = responderActThree(state, last)
          return done.ok ? ok({ send: null, next: done.value }) : done
        },
      }
      return ok({ send: message, next: actThree })
    },
  }
}
