import { createHash } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import type { IssuerConfig } from '../../../node/access.ts'
import { ApiProblem } from '../../problems.ts'
import type { Caller } from '../keyEntry.ts'
import type { KeyRing } from '../keys.ts'
import { SCOPES, type Scope } from '../scopes.ts'
import { IssuerKeys } from './issuerKeys.ts'

/** Signatures that only the issuer can make: never `none`, never a shared secret. */
const ALGORITHMS = ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519']
const TYPES: ReadonlySet<string> = new Set(['jwt', 'at+jwt', 'application/at+jwt'])
/** The issuer's clock may differ by that much. */
const SKEW_SECONDS = 30
/** A token that was verified is taken without looking again for so long; then the issuer may have withdrawn its key. */
const LOOK_AGAIN_MS = 5 * 60_000
const MAX_KNOWN = 10_000
const MAX_TOKEN = 8_192

/** @source OpenID Connect Core 1.0 §2 */
const SUBJECT = /^[\x20-\x7e]{1,255}$/
const TOKEN = /^Bearer ([\w-]+\.[\w-]+\.[\w-]*)$/i

interface Known {
  readonly caller: Caller
  /** Unix ms */
  readonly until: number
  readonly lookAgainAt: number
  /** `iat` in Unix ms; null: it does not say when it was issued. */
  readonly issuedAt: number | null
}

/** Access tokens of an issuer, beside API keys. @source RFC 9068, RFC 8725 */
export class Tokens {
  readonly #config: IssuerConfig
  readonly #ring: KeyRing
  readonly #keys: IssuerKeys
  /** By a hash of the token, oldest first. */
  readonly #known = new Map<string, Known>()
  readonly #verifying = new Map<string, Promise<Caller>>()

  constructor(config: IssuerConfig, ring: KeyRing) {
    this.#config = config
    this.#ring = ring
    this.#keys = new IssuerKeys(config.issuer, () => ring.now())
    ring.boundGuests({ budget: config.budget, rateLimit: config.rateLimit })
  }

  /** The token in an Authorization header; undefined when it is none of this kind. */
  static read(authorization: string | undefined): string | undefined {
    return authorization === undefined ? undefined : TOKEN.exec(authorization)?.[1]
  }

  /** The caller at once for a token that was seen before, else a promise of it: rejects with an ApiProblem. */
  verify(token: string): Caller | Promise<Caller> {
    const name = createHash('sha256').update(token).digest('base64')
    const known = this.#known.get(name)
    const now = this.#ring.now()
    const isKnown = known && now < known.until && now < known.lookAgainAt && this.#isAfterEmergency(known.issuedAt)
    if (isKnown) return known.caller
    const underWay = this.#verifying.get(name)
    if (underWay) return underWay
    const verifying = this.#look(token, known)
      .then((found) => this.#remember(name, found))
      .catch((error) => {
        this.#known.delete(name)
        // Whatever the token opened ends with it; an issuer that does not answer says nothing about the token.
        if (known && !isOutage(error)) this.#ring.endGuest(known.caller)
        throw error
      })
      .finally(() => this.#verifying.delete(name))
    this.#verifying.set(name, verifying)
    return verifying
  }

  async #look(token: string, known: Known | undefined): Promise<Known> {
    const { sub, exp, iat, ...claims } = await this.#claims(token)
    const now = this.#ring.now()
    const issuedAt = iat === undefined ? null : iat * 1000
    // As the last step, with nothing to wait for after it: an emergency meanwhile counts.
    if (!this.#isAfterEmergency(issuedAt)) throw this.#stopped()
    const until = (exp! + SKEW_SECONDS) * 1000
    const scopes = scopesOf(claims, this.#config.scopePrefix)
    const caller = known?.caller ?? this.#ring.admitGuest(sub!, { scopes, until })
    return { caller, until, lookAgainAt: now + LOOK_AGAIN_MS, issuedAt }
  }

  /** Not issued before the last emergency, whatever the issuer's clock says; one that does not say when it was is no better than that. */
  #isAfterEmergency(issuedAt: number | null): boolean {
    const { emergencyAt } = this.#ring
    return emergencyAt === null || (issuedAt !== null && issuedAt > emergencyAt + SKEW_SECONDS * 1000)
  }

  #stopped(): ApiProblem {
    const from = new Date((this.#ring.emergencyAt ?? 0) + SKEW_SECONDS * 1000).toISOString()
    return invalid(
      `all keys and tokens were stopped, and tokens are taken that say they were issued (iat) after ${from}`,
    )
  }

  async #claims(token: string): Promise<JWTPayload> {
    if (token.length > MAX_TOKEN) throw invalid('it is too long')
    const now = this.#ring.now()
    try {
      const { payload, protectedHeader } = await jwtVerify(token, this.#keys.find, {
        issuer: this.#config.issuer,
        audience: this.#config.audience,
        algorithms: ALGORITHMS,
        clockTolerance: SKEW_SECONDS,
        currentDate: new Date(now),
        requiredClaims: ['sub', 'exp'],
      })
      const { typ } = protectedHeader
      if (typ !== undefined && !TYPES.has(typ.toLowerCase())) throw invalid('its typ is not that of an access token')
      checkClaims(payload, now)
      return payload
    } catch (error) {
      throw problemFor(error)
    }
  }

  #remember(name: string, found: Known): Caller {
    this.#known.delete(name)
    const [oldest] = this.#known.keys()
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest)
    this.#known.set(name, found)
    return found.caller
  }
}

/** What jwtVerify leaves open. */
function checkClaims({ sub, iat, cnf }: JWTPayload, now: number): void {
  if (typeof sub !== 'string' || !SUBJECT.test(sub)) throw invalid('its sub is no name')
  if (iat !== undefined && !(typeof iat === 'number' && iat <= now / 1000 + SKEW_SECONDS)) {
    throw invalid('it is from the future (iat)')
  }
  // Bound to a key that its holder must prove to have: as a plain bearer token it is stolen, or used wrongly.
  if (cnf !== undefined) throw invalid('it is bound to a key (cnf), and no proof of that is taken here')
}

/** `scope` as RFC 9068 has it, or `scp` as others do; what is no scope of ours grants nothing. */
function scopesOf({ scope, scp }: JWTPayload, prefix: string): readonly Scope[] {
  const given = [scope ?? scp].flat().flatMap((part) => (typeof part === 'string' ? part.split(' ') : []))
  const ours = new Set(given.flatMap((name) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : [])))
  return SCOPES.filter((name) => ours.has(name))
}

const invalid = (why: string): ApiProblem =>
  new ApiProblem('TOKEN_INVALID', `The access token is not taken: ${why}. Get a new one of the issuer.`)

function problemFor(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error
  if (error instanceof errors.JWTExpired) {
    return new ApiProblem('TOKEN_EXPIRED', 'The access token has expired: get a new one of the issuer.')
  }
  if (error instanceof errors.JWTClaimValidationFailed) return invalid(`its ${error.claim} is not the one expected`)
  if (error instanceof errors.JOSEAlgNotAllowed) return invalid(`its alg is none of ${ALGORITHMS.join(', ')}`)
  if (error instanceof errors.JWKSNoMatchingKey) return invalid('the issuer has no such key')
  return invalid('it is not signed by the issuer')
}

const isOutage = (error: unknown): boolean => error instanceof ApiProblem && error.code === 'ISSUER_UNAVAILABLE'
