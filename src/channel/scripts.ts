import { equalBytes } from '../base/bytes.ts'
import type { Sat } from '../base/units.ts'
import { OP } from '../bitcoin/opcodes.ts'
import { p2pkh, p2sh } from '../bitcoin/script.ts'
import { hasFeature } from '../wire/features.ts'
import { warn } from './faults.ts'
import type { Channel } from './state.ts'
import type { Fault } from './types.ts'

/** OP_0 with 20 or 32 bytes, or where negotiated OP_1 … OP_16 with 2 to 40 bytes. */
function isWitnessProgram(script: Uint8Array, versions: 'v0' | 'any'): boolean {
  const length = script.length - 2
  if (length < 2 || length > 40 || script[1] !== length) return false
  if (script[0] === OP[0]) return length === 20 || length === 32
  return versions === 'any' && script[0]! >= OP[1] && script[0]! <= OP[16]
}

/** OP_RETURN with a single push: of 6 to 75 bytes by its length, of 76 to 80 by OP_PUSHDATA1. */
function isOpReturnPush(script: Uint8Array): boolean {
  if (!isOpReturn(script)) return false
  const length = script.length - 2
  if (script[1] === OP.PUSHDATA1) return length - 1 >= 76 && length - 1 <= 80 && script[2] === length - 1
  return length >= 6 && length <= 75 && script[1] === length
}

/** Its output holds nothing in a closing transaction: all goes to the fee. @source BOLT 3 §closing-transaction */
export const isOpReturn = (script: Uint8Array): boolean => script[0] === OP.RETURN

/**
 * Whether a `shutdown` may pay to this script: witness programs, and with option_simple_close an OP_RETURN.
 * @param theirFeatures of the peer's init; option_shutdown_anysegwit and option_simple_close are always ours
 * @source BOLT 2 §closing-initiation-shutdown
 */
export const isShutdownScript = (script: Uint8Array, theirFeatures: Uint8Array): boolean =>
  isWitnessProgram(script, hasFeature(theirFeatures, 'option_shutdown_anysegwit') ? 'any' : 'v0') ||
  (hasFeature(theirFeatures, 'option_simple_close') && isOpReturnPush(script))

const isP2pkh = (script: Uint8Array): boolean =>
  script.length === 25 && equalBytes(script, p2pkh(script.subarray(3, 23)))
const isP2sh = (script: Uint8Array): boolean => script.length === 23 && equalBytes(script, p2sh(script.subarray(2, 22)))

/**
 * Whether a peer may be paid to this script: older forms, too, that only nodes of old sent when the BOLT dropped them. LND still sends
 * them when its operator closes to such an address, and can take that back no more.
 * @source BOLT 2 §closing-initiation-shutdown
 */
export const isPeersShutdownScript = (script: Uint8Array, theirFeatures: Uint8Array): boolean =>
  isShutdownScript(script, theirFeatures) || isP2pkh(script) || isP2sh(script)

/**
 * What is wrong with the script of a peer's `shutdown` or `closing_complete`, or null.
 * @source BOLT 2 §closing-initiation-shutdown: receiving node
 */
export function wrongScript({ params, theirFeatures }: Channel, script: Uint8Array): Fault | null {
  const rule = 'BOLT 2 §closing-initiation-shutdown'
  if (!isPeersShutdownScript(script, theirFeatures)) {
    return warn('INVALID_SCRIPT', `${rule}: the script is a witness program`, 'it has another form').error
  }
  const upfront = params.remote.upfrontShutdownScript
  if (upfront === null || equalBytes(upfront, script)) return null
  return warn('INVALID_SCRIPT', `${rule}: the script is the one committed to at the opening`, 'it is another').error
}

const PAY_TO_ANCHOR = 4

/**
 * Below this an output of a closing transaction is dust. Both sides must find the same outputs to be dust, so that this is the table
 * of the BOLT and not what nodes relay, which is less for pay-to-taproot.
 * @param script one that `isPeersShutdownScript` takes
 * @source BOLT 3 §dust-limits
 */
export function closingDustSat(script: Uint8Array): Sat {
  if (isOpReturn(script)) return 0n as Sat
  if (isP2pkh(script)) return 546n as Sat
  if (isP2sh(script)) return 540n as Sat
  if (script[0] === OP[0]) return (script.length === 22 ? 294n : 330n) as Sat
  return (
    script[0] === OP[1] && script.length === PAY_TO_ANCHOR && script[2] === 0x4e && script[3] === 0x73 ? 240n : 354n
  ) as Sat
}
