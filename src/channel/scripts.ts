import { hasFeature } from '../wire/features.ts'

/** OP_0 with 20 or 32 bytes, or where negotiated OP_1 … OP_16 with 2 to 40 bytes. */
function isWitnessProgram(script: Uint8Array, versions: 'v0' | 'any'): boolean {
  const length = script.length - 2
  if (length < 2 || length > 40 || script[1] !== length) return false
  if (script[0] === 0) return length === 20 || length === 32
  return versions === 'any' && script[0]! >= 0x51 && script[0]! <= 0x60
}

/**
 * Whether a `shutdown` may pay to this script: witness programs only.
 * @param theirFeatures of the peer's init; option_shutdown_anysegwit is always ours
 * @source BOLT 2 §closing-initiation-shutdown
 */
export const isShutdownScript = (script: Uint8Array, theirFeatures: Uint8Array): boolean =>
  isWitnessProgram(script, hasFeature(theirFeatures, 'option_shutdown_anysegwit') ? 'any' : 'v0')
