import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * What LND's option `fee.url` asks: an estimate that a test sets. On regtest LND asks anew for each opening and close; for its update_fee only
 * every 10 to 60 minutes (htlcswitch/link.go), so that tests see one only from an LND that was built with less.
 */
export interface FeeService {
  readonly url: string
  /** For every target, sat per 1,000 weight units. */
  feerate: number
  close(): void
}

export async function startFeeService(feerate: number): Promise<FeeService> {
  const server = createServer((_, res) => {
    // LND has its estimates per 1,000 virtual bytes.
    const body = { fee_by_block_target: { 1: service.feerate * 4 }, min_relay_feerate: 1_012 }
    res.end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const service: FeeService = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    feerate,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
  return service
}
