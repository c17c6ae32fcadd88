import { ascii } from '../base/bytes.ts'
import type { ChannelId } from '../base/ids.ts'
import { err, type Result } from '../base/result.ts'
import type { Effect, Fault, FaultCode, HtlcOrigin } from './types.ts'

/** The new value, or the rule that was broken. */
export type Judged<T> = Result<T, Fault>

const fault =
  (response: Fault['response']) =>
  (code: FaultCode, requirement: string, detail: string): { readonly ok: false; readonly error: Fault } =>
    err({ code, response, requirement, detail })

/** A command of ours that cannot be done: nothing changes. */
export const refuse = fault('reject-command')
/**
 * The peer broke a rule in a way that a new connection may heal, since what it had not signed for is forgotten then: a warning goes
 * out and the connection is closed, which the BOLTs allow wherever they allow an error.
 */
export const warn = fault('warn-peer')
/** The peer broke a rule and the channel cannot go on: an error goes out and our commitment is published. */
export const fail = fault('fail-channel')

/** One line for the peer and for logs. */
export const faultText = (f: Fault): string => `${f.requirement}; ${f.detail}`

/** For the peer: `error` ends the channel, `warning` does not. */
export const errorMessage = (channelId: ChannelId, text: string): Effect => ({
  tag: 'send',
  message: { type: 'error', channelId, data: ascii(text) },
})
export const warningMessage = (channelId: ChannelId, text: string): Effect => ({
  tag: 'send',
  message: { type: 'warning', channelId, data: ascii(text) },
})

/** An add of ours that was not offered. */
export const rejected = (origin: HtlcOrigin, f: Fault): Effect => ({
  tag: 'relay',
  event: { tag: 'rejected', origin, fault: f },
})
