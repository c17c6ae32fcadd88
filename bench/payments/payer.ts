import { nodeId } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { quantile } from '../../src/cli/demo/quantile.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { resolveConfig } from '../../src/node/config.ts'
import type { NodeService } from '../../src/node/service.ts'
import { startNode } from '../../src/node/start.ts'
import type { Outcome } from './types.ts'

/*
 * The paying node. It is driven inside its own process, over the same service that the REST API translates, as the rival's is: what is
 * timed is the node, not HTTP. The commands come from the benchmark's process.
 */

export interface PayerCommands {
  newAddress(): Promise<string>
  height(): Promise<number>
  confirmedSat(): Promise<number>
  /** @returns the local ids of the channels; ends when their funding transactions are broadcast */
  open(uri: string, capacitySat: number, count: number): Promise<string[]>
  usableChannels(): Promise<number>
  pay(invoices: readonly string[], inFlight: number): Promise<Outcome>
  stop(): Promise<void>
}

export interface Request {
  readonly id: number
  readonly command: keyof PayerCommands
  readonly args: readonly unknown[]
}
export interface Reply {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

const PROBE_MS = 20

function commands(service: NodeService, stop: () => Promise<void>): PayerCommands {
  return {
    newAddress: async () => (await service.newAddress()).address,
    height: async () => service.info().blockHeight,
    confirmedSat: async () => Number((await service.wallet()).confirmedSat),
    async open(uri, capacitySat, count) {
      const [, id = '', host = '', port = ''] = /^(\w+)@(.+):(\d+)$/.exec(uri) ?? []
      await service.connectPeer({ nodeId: nodeId(id), host, port: Number(port) })
      const ids: string[] = []
      for (let i = 0; i < count; i++) {
        let view = await service.openChannel({ peer: nodeId(id), capacitySat: sat(capacitySat) })
        while (view.funding === null) {
          await new Promise((resolve) => setTimeout(resolve, PROBE_MS))
          view = await service.channel(view.id)
        }
        ids.push(view.id)
      }
      return ids
    },
    usableChannels: async () => (await service.channels({ limit: 100 }, {})).items.filter((c) => c.usable).length,
    pay: (invoices, inFlight) => payAll(service, invoices, inFlight),
    stop,
  }
}

/** Keeps `inFlight` payments under way until all invoices have been paid or have failed. */
function payAll(service: NodeService, invoices: readonly string[], inFlight: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const hashes = invoices.map((text) => decodeInvoice(text).paymentHash)
    const sentAt = new Map<string, number>()
    const latencies: number[] = []
    const failures = new Map<string, number>()
    const cpu = process.cpuUsage()
    const begin = performance.now()
    let next = 0
    let done = 0
    const unsubscribe = service.onEvent((event) => {
      if (event.type !== 'payment.succeeded' && event.type !== 'payment.failed') return
      const sent = sentAt.get(String(event.data.paymentHash))
      if (sent === undefined) return
      if (event.type === 'payment.succeeded') latencies.push(performance.now() - sent)
      else fail(String(event.data.failure ?? event.data.code ?? 'FAILED'))
      finishOne()
    })
    const fail = (why: string): void => void failures.set(why, (failures.get(why) ?? 0) + 1)
    const finishOne = (): void => {
      done++
      if (done === invoices.length) {
        unsubscribe()
        const used = process.cpuUsage(cpu)
        resolve(outcomeOf(latencies, failures, performance.now() - begin, (used.user + used.system) / 1000))
      } else if (next < invoices.length) sendOne()
    }
    const sendOne = (): void => {
      const i = next++
      sentAt.set(hashes[i]!, performance.now())
      service.pay({ bolt11: invoices[i]! }).catch((error: { code?: string }) => {
        fail(error.code ?? String(error))
        finishOne()
      })
    }
    for (let i = 0; i < inFlight && i < invoices.length; i++) sendOne()
  })
}

function outcomeOf(latencies: number[], failures: ReadonlyMap<string, number>, ms: number, cpuMs: number): Outcome {
  latencies.sort((a, b) => a - b)
  const failed = [...failures.values()].reduce((a, b) => a + b, 0)
  return {
    succeeded: latencies.length,
    failed,
    perSecond: (latencies.length * 1000) / ms,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    payerCpuMsPerPayment: cpuMs / (latencies.length + failed),
    failures: Object.fromEntries(failures),
  }
}

/** Started by fork(): the data directory and the chain are its arguments. */
async function main([dataDir = '', chain = '']: readonly string[]): Promise<void> {
  const flags = { 'data-dir': dataDir, network: 'regtest', chain, listen: 'none', alias: 'payer', 'log-level': 'error' }
  const node = await startNode(resolveConfig({ flags, env: {} }).config)
  const own = commands(node.service, async () => {
    await node.stop()
    setImmediate(() => process.disconnect?.())
  })
  process.on('message', ({ id, command, args }: Request) => {
    const run = own[command] as (...args: unknown[]) => Promise<unknown>
    run(...args).then(
      (result) => process.send?.({ id, result } satisfies Reply),
      (error: Error) => process.send?.({ id, error: error.stack ?? error.message } satisfies Reply),
    )
  })
  process.on('disconnect', () => process.exit(0)) // whoever started us is gone
  process.send?.({ id: 0, result: 'ready' } satisfies Reply)
}

if (process.send) await main(process.argv.slice(2))
