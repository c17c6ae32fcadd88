const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

/** The name in a Host header, lower-case, without port and trailing dot; IPv6 in brackets. */
function hostName(header: string): string {
  return header.replace(/:\d*$/, '').toLowerCase().replace(/\.$/, '')
}

/**
 * Whether a Host header names this server. A web page that rebinds its own name to our address sends that name; loopback names, the
 * address that the connection came to and what is configured are ours.
 */
export class HostCheck {
  readonly #ours: ReadonlySet<string>

  /** @param extra further names or addresses, IPv6 in brackets */
  constructor(extra: readonly string[]) {
    this.#ours = new Set([...LOOPBACK, ...extra.map(hostName)])
  }

  allows(header: string | undefined, localAddress: string | undefined): boolean {
    if (!header) return false
    const name = hostName(header)
    if (this.#ours.has(name)) return true
    if (localAddress === undefined) return false
    const address = localAddress.replace(/^::ffff:/, '')
    return name === (address.includes(':') ? `[${address}]` : address)
  }
}
