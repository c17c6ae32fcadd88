import { randomBytes } from 'node:crypto'
import { equalBytesConstantTime, fromHex, toHex, utf8, utf8Decode } from '../../base/bytes.ts'
import { crypto } from '../../crypto/crypto.ts'
import type { ApiStore } from '../../node/service.ts'
import { ApiProblem } from '../problems.ts'
import { SCOPES, type Scope } from './scopes.ts'

/** Of a secret only its hash is kept: 32 random bytes need no slow hash. */
interface KeyVersion {
  readonly version: number
  /** SHA-256 of the secret, hex. */
  readonly hash: string
  readonly createdAt: string
  /** RFC 3339; null: until it is revoked. */
  readonly expiresAt: string | null
}

/** One client's key; it may have several live versions while it rotates. */
interface KeyRecord {
  readonly id: string
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly versions: readonly KeyVersion[]
}

/** Who makes a request. */
export interface Caller {
  readonly keyId: string
  readonly version: number
  readonly scopes: readonly Scope[]
}

interface LiveVersion {
  readonly caller: Caller
  readonly hash: Uint8Array
  readonly expiresAtMs: number
}

const PREFIX = 'key/'
const TOKEN = /^Bearer fulmen_([0-9a-z]{1,32})_([0-9A-Za-z]{16,128})$/i
const NO_HASH = new Uint8Array(32)

/** The keys in memory, hashed; every change is durable before it counts. */
export class KeyRing {
  readonly #store: ApiStore
  readonly #now: () => number
  readonly #live = new Map<string, LiveVersion[]>()

  private constructor(store: ApiStore, now: () => number) {
    this.#store = store
    this.#now = now
  }

  /** @param now Unix milliseconds */
  static async open(store: ApiStore, now: () => number = Date.now): Promise<KeyRing> {
    const ring = new KeyRing(store, now)
    for (const [, value] of await store.list(PREFIX)) ring.#add(JSON.parse(utf8Decode(value)) as KeyRecord)
    return ring
  }

  get size(): number {
    return this.#live.size
  }

  /**
   * The caller of an Authorization header.
   * @throws ApiProblem KEY_MISSING, KEY_INVALID or KEY_EXPIRED
   */
  verify(authorization: string | undefined): Caller {
    if (!authorization)
      throw new ApiProblem('KEY_MISSING', 'Send "Authorization: Bearer fulmen_…" with a key of this node.')
    const token = TOKEN.exec(authorization)
    const versions = token ? this.#live.get(token[1]!.toLowerCase()) : undefined
    const hash = crypto.sha256(utf8(token?.[2] ?? ''))
    if (!versions) {
      equalBytesConstantTime(hash, NO_HASH)
      throw new ApiProblem('KEY_INVALID', 'The bearer token is not a key of this node.')
    }
    for (const version of versions) {
      if (!equalBytesConstantTime(hash, version.hash)) continue
      if (version.expiresAtMs > this.#now()) return version.caller
      throw new ApiProblem('KEY_EXPIRED', 'Use the newer version of this key, or ask the operator for one.')
    }
    throw new ApiProblem('KEY_INVALID', 'The bearer token is not a key of this node.')
  }

  /** The live caller of a key that was verified before (tickets). */
  find(keyId: string, version: number): Caller | undefined {
    const live = this.#live.get(keyId)?.find((v) => v.caller.version === version)
    return live && live.expiresAtMs > this.#now() ? live.caller : undefined
  }

  /**
   * A new key. `beforeCommit` gets the whole bearer value before it counts, so that a crash cannot leave a key that nobody holds.
   * @returns the bearer value, which is never to be seen again
   */
  async create(
    name: string,
    scopes: readonly Scope[],
    beforeCommit?: (bearer: string) => Promise<void>,
  ): Promise<string> {
    const id = toHex(randomBytes(6))
    const secret = toHex(randomBytes(32))
    const record: KeyRecord = {
      id,
      name,
      scopes,
      versions: [
        {
          version: 1,
          hash: toHex(crypto.sha256(utf8(secret))),
          createdAt: new Date(this.#now()).toISOString(),
          expiresAt: null,
        },
      ],
    }
    const bearer = `fulmen_${id}_${secret}`
    await beforeCommit?.(bearer)
    await this.#store.put(PREFIX + id, utf8(JSON.stringify(record)))
    this.#add(record)
    return bearer
  }

  #add(record: KeyRecord): void {
    const scopes = record.scopes.filter((scope) => SCOPES.includes(scope))
    this.#live.set(
      record.id,
      record.versions.map((v) => ({
        caller: { keyId: record.id, version: v.version, scopes },
        hash: fromHex(v.hash),
        expiresAtMs: v.expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(v.expiresAt),
      })),
    )
  }
}
