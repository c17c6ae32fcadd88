import type { NodeService } from '../node/service.ts'
import { type AdminKey, ensureAdminKey } from './auth/adminKey.ts'
import { KeyRing } from './auth/keys.ts'
import { type ApiOptions, createApi } from './server.ts'

export interface StartApiOptions extends Omit<ApiOptions, 'keys'> {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly dataDir: string
}

export interface RunningApi {
  /** `http://host:port`, as a client on this machine calls it. */
  readonly url: string
  readonly adminKey: AdminKey
  stop(): Promise<void>
}

/** Loads or makes the keys and serves the API. @throws when the address is taken */
export async function startApi(service: NodeService, options: StartApiOptions): Promise<RunningApi> {
  const keys = await KeyRing.open(service.apiStore)
  const adminKey = await ensureAdminKey(keys, options.dataDir)
  const app = createApi(service, { ...options, keys, hosts: [options.host, ...(options.hosts ?? [])] })
  await app.listen({ host: options.host, port: options.port })
  const address = app.server.address()
  const port = typeof address === 'object' && address ? address.port : options.port
  return { url: `http://${reachableHost(options.host)}:${port}`, adminKey, stop: () => app.close() }
}

/** An address to listen on is not always one to call. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
