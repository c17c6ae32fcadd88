import type { OptionName, OptionValue } from './configOptions.ts'
import { ConfigError } from './errors.ts'

export type TlsConfig =
  /** A certificate of our own, in the data directory. */
  | { readonly kind: 'own' }
  /** Absolute paths. */
  | { readonly kind: 'files'; readonly cert: string; readonly key: string }

/** Whose access tokens are taken, and what bounds each subject of theirs. */
export interface IssuerConfig {
  readonly issuer: string
  readonly audience: string
  readonly scopePrefix: string
  readonly budget: { readonly maxMsat: number; readonly periodSeconds: number | null } | null
  readonly rateLimit: { readonly maxRequests: number; readonly periodSeconds: number } | null
}

/** Who may call the API, and whom it calls. */
export interface ApiAccess {
  /** null: plain HTTP. */
  readonly tls: TlsConfig | null
  /** Origins whose pages may call; none: CORS is off. */
  readonly origins: readonly string[]
  readonly issuer: IssuerConfig | null
  /** Networks that webhooks may go to besides public addresses. */
  readonly webhookTargets: readonly string[]
}

type Value = <N extends OptionName>(name: N) => OptionValue<N> | null

/** @throws ConfigError where options do not fit together */
export function readAccess(value: Value, absolute: (path: string) => string): ApiAccess {
  return {
    tls: readTls(value, absolute),
    origins: value('api-origins') ?? [],
    issuer: readIssuer(value),
    webhookTargets: value('webhook-targets') ?? [],
  }
}

function readTls(value: Value, absolute: (path: string) => string): TlsConfig | null {
  const [cert, key] = [value('tls-cert'), value('tls-key')]
  if ((cert === null) !== (key === null)) {
    throw new ConfigError('tls-cert and tls-key belong together: give both, or neither and --tls')
  }
  if (cert !== null && key !== null) return { kind: 'files', cert: absolute(cert), key: absolute(key) }
  return value('tls') ? { kind: 'own' } : null
}

function readIssuer(value: Value): IssuerConfig | null {
  const [issuer, audience] = [value('oidc-issuer'), value('oidc-audience')]
  const [budget, rate] = [value('oidc-budget'), value('oidc-rate')]
  if (issuer === null) {
    if (audience === null && budget === null && rate === null) return null
    throw new ConfigError('oidc-audience, oidc-budget and oidc-rate need oidc-issuer')
  }
  if (audience === null) {
    throw new ConfigError('oidc-issuer needs oidc-audience: tokens that the issuer made for others must not work here')
  }
  return {
    issuer,
    audience,
    scopePrefix: value('oidc-scope-prefix') ?? '',
    budget: budget && { maxMsat: budget.count, periodSeconds: budget.seconds },
    rateLimit: rate && rate.seconds !== null ? { maxRequests: rate.count, periodSeconds: rate.seconds } : null,
  }
}
