import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import { isLoopback } from '../../../node/configOptions.ts'
import { ApiProblem } from '../../problems.ts'

/** Fetched again after that even when nothing asks for it: an issuer withdraws keys too. */
const FRESH_MS = 10 * 60_000
/** While the issuer does not answer, the keys it last gave are good for that long. */
const STALE_MS = 60 * 60_000
/** A token with an unknown key makes us ask again, no more often than that, whoever sends how many. */
const ASK_AGAIN_MS = 30_000
const TRY_AGAIN_MS = 5_000
const FETCH_MS = 5_000
const MAX_BYTES = 256 * 1024

interface KeySet {
  readonly find: JWTVerifyGetKey
  /** Unix ms */
  readonly at: number
}

/**
 * The keys that an issuer signs with, by its discovery document: fetched when first needed, kept, and fetched again when a token names
 * one that is not among them. @source OpenID Connect Discovery 1.0 §4
 */
export class IssuerKeys {
  readonly #issuer: string
  readonly #now: () => number
  #keys: KeySet | null = null
  #asking: Promise<void> | null = null
  #askedAt = Number.NEGATIVE_INFINITY
  #failure = ''

  /** @param now Unix ms */
  constructor(issuer: string, now: () => number) {
    this.#issuer = issuer
    this.#now = now
  }

  /** For jwtVerify. @throws ApiProblem ISSUER_UNAVAILABLE; errors.JWKSNoMatchingKey when the issuer has no such key */
  find: JWTVerifyGetKey = async (header, token) => {
    const keys = await this.#current()
    try {
      return await keys.find(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || this.#now() - this.#askedAt < ASK_AGAIN_MS) throw error
      await this.#ask()
      return (this.#keys ?? keys).find(header, token)
    }
  }

  async #current(): Promise<KeySet> {
    const age = (): number => this.#now() - (this.#keys?.at ?? Number.NEGATIVE_INFINITY)
    const mayAsk = this.#asking !== null || this.#now() - this.#askedAt >= TRY_AGAIN_MS
    if (age() >= FRESH_MS && mayAsk) await this.#ask()
    if (this.#keys !== null && age() < STALE_MS) return this.#keys
    throw new ApiProblem(
      'ISSUER_UNAVAILABLE',
      `The issuer of tokens does not give its keys (${this.#failure}); API keys work.`,
      { retryAfterSeconds: TRY_AGAIN_MS / 1000 },
    )
  }

  /** Asks once for all who wait. Never rejects: what failed shows when there are no keys. */
  #ask(): Promise<void> {
    this.#askedAt = this.#now()
    this.#asking ??= this.#fetchKeys()
      .then(
        (find) => {
          this.#keys = { find, at: this.#now() }
        },
        (error: Error) => {
          this.#failure = error.message
        },
      )
      .finally(() => {
        this.#asking = null
      })
    return this.#asking
  }

  async #fetchKeys(): Promise<JWTVerifyGetKey> {
    const signal = AbortSignal.timeout(FETCH_MS)
    const document = await fetchJson(`${this.#issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, signal)
    const { issuer, jwks_uri: uri } = document as { issuer?: unknown; jwks_uri?: unknown }
    if (issuer !== this.#issuer) throw new Error(`its discovery document is that of ${JSON.stringify(issuer)}`)
    if (typeof uri !== 'string' || !isSafe(uri)) throw new Error('its jwks_uri is no https URL')
    return createLocalJWKSet((await fetchJson(uri, signal)) as JSONWebKeySet)
  }
}

function isSafe(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/^\[|\]$/g, '')))
}

async function fetchJson(url: string, signal: AbortSignal): Promise<unknown> {
  const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } }).catch(
    (error) => {
      throw new Error(signal.aborted ? 'no answer in time' : 'no connection', { cause: error })
    },
  )
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`${new URL(url).pathname} answers ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new Error(`${new URL(url).pathname} is too long`)
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'))
}
