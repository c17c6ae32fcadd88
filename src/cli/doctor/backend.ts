import { type Finding, ok, problem, warning } from '../../api/checks/finding.ts'
import { perVbyte } from '../../chain/fees.ts'
import { httpTransport } from '../../chain/rpc.ts'
import type { NodeConfig } from '../../node/config.ts'

const TIMEOUT_MS = 5_000
/** As the Bitcoin node calls them, where it is not our name. */
const CHAINS: Readonly<Record<string, string>> = { testnet: 'test', bitcoin: 'main' }
const TARGET_BLOCKS = 6

interface ChainInfo {
  readonly chain: string
  readonly blocks: number
  readonly headers: number
  readonly initialblockdownload: boolean
  readonly pruned?: boolean
}

/** The Bitcoin node behind ours, asked directly. @param height of our node; null while it is down */
export async function backend(
  { chain, network }: Pick<NodeConfig, 'chain' | 'network'>,
  height: number | null,
): Promise<readonly Finding[]> {
  if (chain.kind === 'embedded') return []
  const transport = httpTransport({ url: chain.url })
  const call = <T>(method: string, ...params: readonly unknown[]) =>
    transport.call(method, params, { timeoutMs: TIMEOUT_MS }) as Promise<T>
  try {
    const info = await call<ChainInfo>('getblockchaininfo')
    const fees = await call<{ feerate?: number }>('estimatesmartfee', TARGET_BLOCKS).catch(() => ({}) as never)
    return [chainState(info, CHAINS[network] ?? network, height), feeEstimate(fees.feerate, network)]
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return [problem('Bitcoin node', why, 'start it, or correct --chain http://user:password@host:port')]
  } finally {
    transport.close()
  }
}

function chainState(info: ChainInfo, wanted: string, height: number | null): Finding {
  const { chain, blocks, headers } = info
  if (chain !== wanted)
    return problem('Bitcoin node', `it is on ${chain}, ours on ${wanted}`, 'correct --chain or --network')
  if (blocks < headers || info.initialblockdownload) {
    const message = `it has ${blocks} of ${headers} blocks: deadlines cannot be watched before it has them all`
    return problem('Bitcoin node', message, 'wait; open no channels before that')
  }
  if (height !== null && height < blocks - 1)
    return problem('Bitcoin node', `it is ${blocks - height} blocks ahead of ours`, "see the node's log")
  return ok('Bitcoin node', `in step at height ${blocks}`)
}

/** @param btcPerKvb as `estimatesmartfee` says it */
function feeEstimate(btcPerKvb: number | undefined, network: string): Finding {
  if (btcPerKvb !== undefined)
    return ok('fee estimates', `${(btcPerKvb * 100_000).toFixed(1)} sat/vB for ${TARGET_BLOCKS} blocks`)
  const guess = `the Bitcoin node has no estimate yet: ${perVbyte(1_000)} sat/vB is a guess`
  if (network === 'regtest') return ok('fee estimates', 'a guess, as on any regtest')
  return warning('fee estimates', guess, 'give a feerate yourself until it has seen a few hundred blocks')
}
