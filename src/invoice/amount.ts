import { MAX_MSAT, type Msat } from '../base/units.ts'
import { NETWORKS, type Network, networkParams } from '../bitcoin/networks.ts'
import { InvoiceError } from './errors.ts'

/** The multipliers of BOLT 11 §human-readable-part in msat × 10 (pico-bitcoin), largest unit first. */
const UNITS: readonly (readonly [string, bigint])[] = [
  ['', 1_000_000_000_000n],
  ['m', 1_000_000_000n],
  ['u', 1_000_000n],
  ['n', 1_000n],
  ['p', 1n],
]

/** Longest first: lnbc must not hide lnbcrt. */
const PREFIXES = NETWORKS.map((network) => ({ network, text: `ln${networkParams(network).invoicePrefix}` })).sort(
  (a, b) => b.text.length - a.text.length,
)

export const prefixOf = (network: Network): string => `ln${networkParams(network).invoicePrefix}`

/** An amount in the largest unit that leaves no fraction. @throws InvoiceError ('unencodable') for 0 */
export function formatAmount(amount: Msat): string {
  const pico = amount * 10n
  const unit = UNITS.find(([, size]) => pico % size === 0n)!
  if (pico === 0n) throw new InvoiceError('unencodable', 'an amount of 0: leave it out, so that the payer chooses')
  return `${pico / unit[1]}${unit[0]}`
}

/**
 * Network and amount from the human-readable part.
 * @throws InvoiceError
 * @source BOLT 11 §human-readable-part
 */
export function parsePrefix(prefix: string): { readonly network: Network; readonly amountMsat: Msat | null } {
  const known = PREFIXES.find(({ text }) => prefix.startsWith(text) && /^\d?$/.test(prefix.charAt(text.length)))
  if (!known)
    throw new InvoiceError(
      'network',
      `begins with "${prefix.slice(0, 12)}", which is no Lightning network that we know`,
    )
  const amount = prefix.slice(known.text.length)
  return { network: known.network, amountMsat: amount === '' ? null : parseAmount(amount) }
}

function parseAmount(text: string): Msat {
  const m = /^([1-9]\d{0,19})([munp]?)$/.exec(text)
  if (!m)
    throw new InvoiceError(
      'amount',
      `amount "${text.slice(0, 24)}" is not a number with one of the multipliers m, u, n, p`,
    )
  const pico = BigInt(m[1]!) * UNITS.find(([name]) => name === m[2])![1]
  if (pico % 10n !== 0n) throw new InvoiceError('amount', `amount "${text}" is not a whole number of millisatoshis`)
  if (pico / 10n > MAX_MSAT) throw new InvoiceError('amount', `amount "${text}" is more than all bitcoin`)
  return (pico / 10n) as Msat
}
