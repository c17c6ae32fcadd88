/* Numbers, times and ids as people read them. */

/** '1234567' → ['1', '234', '567'] */
export const groupsOf = (digits: string): string[] => digits.match(/\d{1,3}(?=(\d{3})*$)/g) ?? []

const THIN_SPACE = '\u202f'

/** A whole number with thin spaces, for text that has no elements. */
export const grouped = (n: number): string => (n < 0 ? '−' : '') + groupsOf(String(Math.abs(n))).join(THIN_SPACE)

/** `1 234.5 sat` */
export function satText(msat: number): string {
  const { sat, rest } = parts(msat)
  return `${grouped(sat)}${rest && `.${rest}`} sat`
}

/** Whole satoshis, and what is left of them as digits after the point; '' when nothing is. */
export function parts(msat: number): { readonly sat: number; readonly rest: string } {
  const rest = String(Math.abs(msat % 1000)).padStart(3, '0')
  return { sat: Math.trunc(msat / 1000), rest: rest === '000' ? '' : rest.replace(/0+$/, '') }
}

const GROUPED = /^[1-9]\d{0,2}([\s\u2009\u202f_,’']\d{3})+$/

/**
 * What somebody typed as satoshis: digits, or groups of three. `0,5` and `0,500` are half of something, in much of the world, not 5 or 500 sat.
 * @throws RangeError that says what is expected
 */
export function parseSat(text: string): number {
  const typed = text.trim()
  const digits = GROUPED.test(typed) ? typed.replace(/\D/g, '') : typed
  if (!/^\d{1,16}$/.test(digits) || Number(digits) > 2_100_000_000_000_000) {
    throw new RangeError('Enter whole satoshis, like 25 000.')
  }
  return Number(digits)
}

/** How a node is reached, as others type it. @param address with or without the node id before it */
export const uriOf = (nodeId: string, address: string | undefined): string =>
  address === undefined ? nodeId : address.includes('@') ? address : `${nodeId}@${address}`

export const shortId = (id: string): string => (id.length > 20 ? `${id.slice(0, 8)}…${id.slice(-6)}` : id)

const UNITS = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
] as const

/** `3 days`, `1 hour`, `40 seconds`: the largest unit alone. */
export function duration(seconds: number): string {
  const [unit, size] = UNITS.find(([, s]) => seconds >= s) ?? (['second', 1] as const)
  const count = Math.floor(seconds / size)
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

/** `3 minutes ago`, `in 2 days`. @param now Unix ms */
export function relative(iso: string, now: number): string {
  const seconds = (Date.parse(iso) - now) / 1000
  if (Math.abs(seconds) < 45) return seconds > 5 ? 'in a moment' : 'just now'
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`
}

/** `channel.ready` → `Channel ready` */
export const sentence = (words: string): string => {
  const text = words.replace(/[._-]/g, ' ').toLowerCase()
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** A share of 1 as `98.2 %`; what is less than all is never told as all. */
export const percent = (share: number): string =>
  `${share < 1 ? Math.min(99.9, Math.round(share * 1000) / 10) : 100}${THIN_SPACE}%`

/** Blocks as time, at ten minutes each. */
export const blocksText = (blocks: number): string => `${grouped(blocks)} blocks (about ${duration(blocks * 600)})`

const partOf = (value: unknown): string => {
  if (Array.isArray(value)) return value.map(partOf).join(', ')
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([name, part]) => `${name} ${partOf(part)}`)
    .join(', ')
}

/** What a record says, in one line: `url: …; types: payment.*, chain.*`. Left out: what is null or empty. */
export const wordsOf = (record: Readonly<Record<string, unknown>>): string =>
  Object.entries(record)
    .filter(([, value]) => value !== null && !(typeof value === 'object' && Object.keys(value as object).length === 0))
    .map(([name, value]) => `${name}: ${partOf(value)}`)
    .join('; ')
