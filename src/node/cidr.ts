import { parseIpv4, parseIpv6 } from '../wire/ip.ts'

/** A network of addresses. */
export interface Network {
  readonly address: string
  readonly prefix: number
  readonly family: 'ipv4' | 'ipv6'
}

const BITS = { ipv4: 32, ipv6: 128 } as const

/** `10.0.0.0/8`, `fd00::/8`, or an address alone. @returns null when it is none */
export function parseCidr(text: string): Network | null {
  const [address = '', prefixText, more] = text.split('/')
  const family = familyOf(address)
  if (family === null || more !== undefined) return null
  const prefix = prefixText === undefined ? BITS[family] : /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : -1
  return prefix < 0 || prefix > BITS[family] ? null : { address, prefix, family }
}

function familyOf(address: string): Network['family'] | null {
  const isIpv6 = address.includes(':')
  try {
    if (isIpv6) parseIpv6(address)
    else parseIpv4(address)
    return isIpv6 ? 'ipv6' : 'ipv4'
  } catch {
    return null
  }
}
