import type { Server as TlsServer } from 'node:tls'
import type { ApiAccess } from '../node/access.ts'
import type { NodeService } from '../node/service.ts'
import { type AdminKey, ensureAdminKey } from './auth/adminKey.ts'
import { KeyRing } from './auth/keys.ts'
import { type ApiOptions, createApi } from './server.ts'
import { certificateSource, LiveCertificate } from './tls/serverCertificate.ts'

export interface StartApiOptions extends Omit<ApiOptions, 'keys' | 'tls' | 'origins' | 'webhooks' | 'issuer'> {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly dataDir: string
  readonly access?: ApiAccess
  /** A certificate came into force: what clients pin. */
  readonly onPin?: (pin: string) => Promise<void>
}

export interface RunningApi {
  /** `http://host:port`, or https, as a client on this machine calls it. */
  readonly url: string
  /** What clients pin; null without TLS. */
  readonly pin: string | null
  readonly adminKey: AdminKey
  /** Looks for another certificate now. */
  reload(): Promise<void>
  stop(): Promise<void>
}

/** Loads or makes the keys and serves the API. @throws when the address is taken; ConfigError when there is no certificate to serve */
export async function startApi(service: NodeService, options: StartApiOptions): Promise<RunningApi> {
  const { access, dataDir, host, onPin = async () => {} } = options
  const keys = await KeyRing.open(service.apiStore)
  const adminKey = await ensureAdminKey(keys, dataDir)
  const hosts = [host, ...(options.hosts ?? [])]
  const tls = access?.tls ? await LiveCertificate.open(certificateSource(access.tls, { dataDir, names: hosts })) : null
  const app = createApi(service, {
    ...options,
    keys,
    hosts,
    ...(access && {
      origins: access.origins,
      issuer: access.issuer,
      webhooks: { targets: access.webhookTargets },
    }),
    ...(tls && { tls: tls.current }),
    surroundings: { dataDir, ...options.surroundings, certificate: () => tls?.current.cert ?? null },
  })
  try {
    await app.listen({ host, port: options.port })
    if (tls) await onPin(tls.pin)
  } catch (error) {
    await app.close() // it has begun to post webhooks
    throw error
  }
  // Connections that are open go on with the certificate that they began with.
  const apply = async (next: LiveCertificate['current'], pin: string): Promise<void> => {
    ;(app.server as unknown as TlsServer).setSecureContext({ ...next })
    await onPin(pin)
  }
  const onError = (error: unknown) => options.onInternalError?.(error, { method: 'reload', route: 'certificate' })
  const reload = tls?.watch(apply, onError) ?? (async () => {})
  const address = app.server.address()
  const port = typeof address === 'object' && address ? address.port : options.port
  return {
    url: `${tls ? 'https' : 'http'}://${reachableHost(host)}:${port}`,
    pin: tls?.pin ?? null,
    adminKey,
    reload,
    stop: async () => {
      tls?.close()
      await app.close()
    },
  }
}

/** An address to listen on is not always one to call. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
