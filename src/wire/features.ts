import { EMPTY } from '../base/bytes.ts'
import { err, ok, type Result } from '../base/result.ts'

/** Where BOLT 9 shows a feature: init, node_announcement, BOLT 11 invoice, channel_type. */
export type FeatureContext = 'init' | 'node' | 'invoice' | 'channelType'

interface Feature {
  /** The even (required) bit; the odd one (optional) is the next. */
  readonly bit: number
  /** BOLT 9 takes it for granted in every node. */
  readonly assumed?: true
  readonly contexts: readonly FeatureContext[]
  readonly dependsOn?: readonly string[]
  /** How we set it; absent: we do not have it, and refuse whoever requires it. */
  readonly ours?: 'required' | 'optional'
}

const IN = ['init', 'node'] as const
const IN9 = ['init', 'node', 'invoice'] as const
const INT = ['init', 'node', 'channelType'] as const

/**
 * The features of BOLT 9 (and keysend, bLIP 3), and which of them this node has. The assumed ones keep the contexts that they
 * had before they were assumed: peers in the field still look for them there.
 */
export const FEATURES = {
  option_data_loss_protect: { bit: 0, assumed: true, contexts: IN, ours: 'required' },
  option_upfront_shutdown_script: { bit: 4, contexts: IN, ours: 'optional' },
  gossip_queries: { bit: 6, contexts: IN, ours: 'optional' },
  var_onion_optin: { bit: 8, assumed: true, contexts: IN9, ours: 'required' },
  gossip_queries_ex: { bit: 10, contexts: IN, ours: 'optional' },
  option_static_remotekey: { bit: 12, assumed: true, contexts: INT, ours: 'required' },
  payment_secret: { bit: 14, assumed: true, contexts: IN9, ours: 'required' },
  basic_mpp: { bit: 16, contexts: IN9, dependsOn: ['payment_secret'], ours: 'optional' },
  option_support_large_channel: { bit: 18, contexts: IN, ours: 'optional' },
  option_anchors: { bit: 22, contexts: INT, ours: 'optional' },
  option_route_blinding: { bit: 24, contexts: IN9 },
  option_shutdown_anysegwit: { bit: 26, contexts: IN, ours: 'optional' },
  option_dual_fund: { bit: 28, contexts: IN },
  option_quiesce: { bit: 34, contexts: IN },
  option_attribution_data: { bit: 36, contexts: IN9 },
  option_onion_messages: { bit: 38, contexts: IN },
  option_provide_storage: { bit: 42, contexts: IN, ours: 'optional' },
  option_channel_type: { bit: 44, assumed: true, contexts: IN, ours: 'required' },
  option_scid_alias: { bit: 46, contexts: INT },
  option_payment_metadata: { bit: 48, contexts: ['invoice'] },
  option_zeroconf: { bit: 50, contexts: INT, dependsOn: ['option_scid_alias'] },
  keysend: { bit: 54, contexts: ['node'], ours: 'optional' },
  option_simple_close: { bit: 60, contexts: IN, dependsOn: ['option_shutdown_anysegwit'], ours: 'optional' },
  option_splice: { bit: 62, contexts: IN },
} as const satisfies Readonly<Record<string, Feature>>

export type FeatureName = keyof typeof FEATURES

const table: readonly (readonly [FeatureName, Feature])[] = Object.entries(FEATURES) as [FeatureName, Feature][]
const byBit = new Map(table.map((entry) => [entry[1].bit, entry]))

// ---------------------------------------------------------------- bit fields: bit 0 is the lowest of the last byte

/** false for bits beyond the field. */
export function hasBit(features: Uint8Array, bit: number): boolean {
  const byte = features[features.length - 1 - (bit >>> 3)] ?? 0
  return ((byte >>> (bit & 7)) & 1) === 1
}

/** The bits that are set, lowest first. */
export function featureBits(features: Uint8Array): readonly number[] {
  const bits: number[] = []
  for (let i = features.length - 1, base = 0; i >= 0; i--, base += 8) {
    const byte = features[i]!
    if (byte === 0) continue
    for (let b = 0; b < 8; b++) if ((byte >>> b) & 1) bits.push(base + b)
  }
  return bits
}

/** The shortest field with these bits. */
export function featuresFromBits(bits: readonly number[]): Uint8Array {
  if (bits.length === 0) return EMPTY
  const length = (Math.max(...bits) >>> 3) + 1
  const out = new Uint8Array(length)
  for (const bit of bits) out[length - 1 - (bit >>> 3)]! |= 1 << (bit & 7)
  return out
}

/** BOLT 1 §the-init-message: the two fields of init as one. */
export function combineFeatures(a: Uint8Array, b: Uint8Array): Uint8Array {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a]
  const out = Uint8Array.from(long)
  const shift = long.length - short.length
  for (let i = 0; i < short.length; i++) out[shift + i]! |= short[i]!
  return out
}

// ---------------------------------------------------------------- what the bits mean

/** Either bit is set, or BOLT 9 assumes the feature of everyone. */
export function hasFeature(features: Uint8Array, name: FeatureName): boolean {
  const feature: Feature = FEATURES[name]
  return feature.assumed === true || hasBit(features, feature.bit) || hasBit(features, feature.bit + 1)
}

/** The even bit is set; with both, it counts (BOLT 9 §requirements). */
export const requiresFeature = (features: Uint8Array, name: FeatureName): boolean =>
  hasBit(features, FEATURES[name].bit)

/** BOLT 1 §the-init-message: both sides offer it, or we require it. */
export const isNegotiated = (ours: Uint8Array, theirs: Uint8Array, name: FeatureName): boolean =>
  hasFeature(ours, name) && (hasFeature(theirs, name) || requiresFeature(ours, name))

/** As many as are looked for: a peer may set half a million bits. */
const MOST_UNKNOWN = 8

/** The lowest few even bits of features that this node does not have: whoever sets them asks for what we cannot do. */
export function unknownEvenBits(features: Uint8Array): readonly number[] {
  const unknown: number[] = []
  for (let i = features.length - 1, base = 0; i >= 0; i--, base += 8) {
    const even = features[i]! & 0x55
    for (let b = 0; even >>> b !== 0; b += 2) {
      if (!((even >>> b) & 1) || byBit.get(base + b)?.[1].ours !== undefined) continue
      unknown.push(base + b)
      if (unknown.length === MOST_UNKNOWN) return unknown
    }
  }
  return unknown
}

export interface MissingDependency {
  readonly feature: FeatureName
  readonly needs: FeatureName
}
/** Features that are set without one that they build on. */
export function missingDependencies(features: Uint8Array): readonly MissingDependency[] {
  return table.flatMap(([feature, { bit, dependsOn = [] }]) => {
    if (!hasBit(features, bit) && !hasBit(features, bit + 1)) return []
    return (dependsOn as FeatureName[])
      .filter((needs) => !hasFeature(features, needs))
      .map((needs) => ({ feature, needs }))
  })
}

export type FeatureFault =
  | { readonly code: 'UNKNOWN_REQUIRED_FEATURE'; readonly bits: readonly number[]; readonly message: string }
  | { readonly code: 'MISSING_DEPENDENCY'; readonly missing: readonly MissingDependency[]; readonly message: string }

/**
 * Whether we can work with someone who sets these bits; if not, a connection is to be closed and an invoice not to be paid.
 * @source BOLT 1 §the-init-message, BOLT 9 §requirements, BOLT 11 §tagged-fields
 */
export function checkFeatures(features: Uint8Array): Result<Uint8Array, FeatureFault> {
  const bits = unknownEvenBits(features)
  if (bits.length > 0) {
    const names = bits.map((bit) => `${bit} (${byBit.get(bit)?.[0] ?? 'unknown'})`)
    return err({
      code: 'UNKNOWN_REQUIRED_FEATURE',
      bits,
      message: `requires features that this node does not have: ${names.join(', ')}`,
    })
  }
  const missing = missingDependencies(features)
  if (missing.length > 0) {
    const pairs = missing.map((m) => `${m.feature} without ${m.needs}`)
    return err({ code: 'MISSING_DEPENDENCY', missing, message: `sets ${pairs.join(', ')}` })
  }
  return ok(features)
}

/** For people: `option_anchors` for a bit that we know, else its number. */
export const featureNames = (features: Uint8Array): readonly string[] =>
  featureBits(features).map((bit) => byBit.get(bit & ~1)?.[0] ?? `${bit}`)

// ---------------------------------------------------------------- ours

const ours = (context: FeatureContext): Uint8Array =>
  featuresFromBits(
    table.flatMap(([, f]) =>
      f.ours && f.contexts.includes(context) ? [f.ours === 'required' ? f.bit : f.bit + 1] : [],
    ),
  )
const OURS = { init: ours('init'), node: ours('node'), invoice: ours('invoice') }

/** Fresh bytes each time. */
export const ourInitFeatures = (): Uint8Array => OURS.init.slice()
export const ourNodeFeatures = (): Uint8Array => OURS.node.slice()
export const ourInvoiceFeatures = (): Uint8Array => OURS.invoice.slice()

// ---------------------------------------------------------------- channel_type

/** BOLT 2 §defined-channel-types, those that we open and accept. */
const CHANNEL_TYPES = {
  anchors: featuresFromBits([FEATURES.option_static_remotekey.bit, FEATURES.option_anchors.bit]),
  static_remotekey: featuresFromBits([FEATURES.option_static_remotekey.bit]),
} as const
export type ChannelTypeName = keyof typeof CHANNEL_TYPES

export const encodeChannelType = (name: ChannelTypeName): Uint8Array => CHANNEL_TYPES[name].slice()

/** null for any set of bits that is not exactly one of ours: the open is to be refused. */
export function decodeChannelType(type: Uint8Array): ChannelTypeName | null {
  const bits = featureBits(type).join()
  for (const [name, known] of Object.entries(CHANNEL_TYPES)) {
    if (featureBits(known).join() === bits) return name as ChannelTypeName
  }
  return null
}
