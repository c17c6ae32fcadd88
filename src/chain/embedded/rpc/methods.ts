import { RPC_ERROR } from '../../rpcErrors.ts'
import type { EmbeddedChain } from '../chain.ts'
import { Args } from './args.ts'
import { CHAIN_METHODS } from './chainMethods.ts'
import { RpcError } from './errors.ts'
import { MEMPOOL_METHODS } from './mempoolMethods.ts'
import { NODE_METHODS } from './nodeMethods.ts'

export interface CallContext {
  readonly chain: EmbeddedChain
  /** Aborts when the caller has gone. */
  readonly signal?: AbortSignal
  /** What the call `stop` does. */
  readonly stop: () => void
}

export interface Method {
  /** By position; a call may name them instead. */
  readonly params: readonly string[]
  readonly run: (args: Args, context: CallContext) => unknown
}

export type Methods = { readonly [name: string]: Method }

const METHODS: ReadonlyMap<string, Method> = new Map(
  Object.entries({ ...CHAIN_METHODS, ...MEMPOOL_METHODS, ...NODE_METHODS }),
)

/** One call with parameters by position or by name. Rejects with RpcError. */
export async function callMethod(name: string, params: unknown, context: CallContext): Promise<unknown> {
  const method = METHODS.get(name)
  if (!method) throw new RpcError(RPC_ERROR.METHOD_NOT_FOUND, 'Method not found')
  return method.run(new Args(name, method.params, positional(method, params)), context)
}

function positional(method: Method, params: unknown): readonly unknown[] {
  if (params === undefined || params === null) return []
  if (Array.isArray(params)) return params
  if (typeof params !== 'object') {
    throw new RpcError(RPC_ERROR.INVALID_REQUEST, 'Params must be an array or object')
  }
  const named = new Map(Object.entries(params))
  for (const key of named.keys()) {
    if (!method.params.includes(key)) {
      throw new RpcError(RPC_ERROR.INVALID_PARAMETER, `Unknown named parameter ${key.slice(0, 100)}`)
    }
  }
  return method.params.map((p) => named.get(p))
}
