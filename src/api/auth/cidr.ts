import { BlockList, isIP } from 'node:net'
import { type Network, parseCidr } from '../../node/cidr.ts'

function listOf(networks: readonly Network[]): BlockList {
  const list = new BlockList()
  for (const { address, prefix, family } of networks) list.addSubnet(address, prefix, family)
  return list
}

const networksOf = (cidrs: readonly string[]): Network[] => cidrs.flatMap((text) => parseCidr(text) ?? [])

/** The addresses that a key may be used from. An IPv4 address that arrives mapped into IPv6 is the IPv4 address. */
export class AllowList {
  readonly #list: BlockList | null

  /** @param cidrs as parseCidr takes them; none: every address */
  constructor(cidrs: readonly string[]) {
    this.#list = cidrs.length === 0 ? null : listOf(networksOf(cidrs))
  }

  allows(address: string): boolean {
    if (this.#list === null) return true
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
    const version = isIP(plain)
    return version !== 0 && this.#list.check(plain, version === 4 ? 'ipv4' : 'ipv6')
  }
}

/** Whether each of the inner networks lies in one of the outer ones; no outer network stands for everything. */
export function cidrsWithin(inner: readonly string[], outer: readonly string[]): boolean {
  if (outer.length === 0) return true
  const wide = networksOf(outer)
  return (
    inner.length > 0 &&
    networksOf(inner).every((one) =>
      wide.some(
        (other) =>
          other.family === one.family && other.prefix <= one.prefix && listOf([other]).check(one.address, one.family),
      ),
    )
  )
}
