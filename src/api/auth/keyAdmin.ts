import type { ApiEvent } from '../../node/service.ts'
import { ApiProblem, badField } from '../problems.ts'
import type { AuditFact } from './auditChain.ts'
import { checkWithin } from './bounds.ts'
import { isGuest } from './guests.ts'
import {
  createKey,
  type Issued,
  type Rotation,
  revokeKey,
  rollbackKey,
  rotateKey,
  rotateSelf,
  stopVersions,
  updateKey,
} from './keyChanges.ts'
import type { Caller, KeyEntry } from './keyEntry.ts'
import { lifeFault } from './keyLife.ts'
import { currentOf, type KeyRecord, type KeySettings, keyState, versionOf } from './keyRecord.ts'
import type { KeyRing } from './keys.ts'

/** Who asks for a change, and from where. */
export interface Actor extends Caller {
  readonly address: string
}

/** A key with a new version; `stopped` are the keys that stopped with it. */
export interface NewVersion extends Issued {
  readonly stopped: readonly string[]
}

type Why = 'rotate' | 'self' | 'rollback' | 'compromised' | 'rotate-all'

/**
 * What keys do to keys: each change is within the powers of who asks for it, enters the audit log in the same batch, and is told as
 * an event where clients have to move to another version.
 */
export class KeyAdmin {
  readonly #keys: KeyRing

  constructor(keys: KeyRing) {
    this.#keys = keys
  }

  /** A setting that is not given is that of the caller's own key, where that limits it. */
  async create(
    actor: Actor,
    wanted: Partial<KeySettings> & Pick<KeySettings, 'name' | 'scopes'>,
    wantedFrom?: number,
  ): Promise<Issued> {
    const { issued } = await this.#keys.change(() => {
      const now = this.#keys.now()
      const own = this.#keys.powersOf(actor)
      const { expiresAt, allowedCidrs, rateLimit, budget } = own
      const inherited = { expiresAt, allowedCidrs, rateLimit, budget, rotateEverySeconds: null, metadata: {} }
      const settings = { ...inherited, ...wanted }
      checkWithin(settings, own)
      const activatesAt = Math.max(now, wantedFrom ?? now)
      const fault = lifeFault({ expiresAt: settings.expiresAt, from: activatesAt }, now) // of the inherited life too
      if (fault) throw badField('body', ...fault)
      const issued = createKey(settings, { createdBy: actor.keyId, activatesAt, now })
      return { issued, records: [issued.record], facts: [factOf(actor, 'key.created', issued.record, { ...settings })] }
    })
    return issued
  }

  async update(actor: Actor, id: string, wanted: Partial<KeySettings>): Promise<KeyEntry> {
    await this.#keys.change(() => {
      const record = this.#takenOver(actor, id)
      const changed = updateKey(record, wanted, this.#keys.now())
      checkWithin(changed, this.#keys.powersOf(actor))
      return { records: [changed], facts: [factOf(actor, 'key.updated', record, { ...wanted })] }
    })
    return this.#keys.entry(id)
  }

  /** After a compromise the keys that this one made stop too: whoever had it may have made some. */
  async rotate(actor: Actor, id: string, rotation: Rotation): Promise<NewVersion> {
    return this.#keys.change(() => {
      const now = this.#keys.now()
      const before = this.#takenOver(actor, id)
      const issued = rotateKey(before, rotation, now)
      const ended = rotation.compromised ? this.#descendants(id) : []
      const records = ended.map((record) => stopVersions(record, now))
      const why = rotation.compromised ? 'compromised' : 'rotate'
      const stopped = ended.map((record) => record.id)
      const detail = { version: issued.record.current, graceUntil: graceOf(before, issued.record), why, stopped }
      return {
        ...issued,
        stopped,
        records: [issued.record, ...records],
        facts: [factOf(actor, 'key.rotated', before, detail)],
        events: [rotatedEvent(before, issued.record, why)],
      }
    })
  }

  async rotateSelf(actor: Actor, graceSeconds: number | undefined): Promise<NewVersion> {
    return this.#keys.change(() => {
      const { record: before, usage } = this.#ownKey(actor)
      const isUsed = (version: number) => (usage.get(version)?.requests ?? 0) > 0
      const self = { version: actor.version, isUsed, ...(graceSeconds !== undefined && { graceSeconds }) }
      const issued = rotateSelf(before, self, this.#keys.now())
      const detail = { version: issued.record.current, graceUntil: graceOf(before, issued.record), why: 'self' }
      return {
        ...issued,
        stopped: [],
        records: [issued.record],
        facts: [factOf(actor, 'key.rotated', before, detail)],
        events: [rotatedEvent(before, issued.record, 'self')],
      }
    })
  }

  async rollback(actor: Actor, id: string): Promise<KeyEntry> {
    await this.#keys.change(() => {
      const before = this.#managed(actor, id)
      const after = rollbackKey(before, this.#keys.now())
      return {
        records: [after],
        facts: [factOf(actor, 'key.rolled-back', before, { version: after.current, from: before.current })],
        events: [rotatedEvent(before, after, 'rollback')],
      }
    })
    return this.#keys.entry(id)
  }

  /** At once, open streams included. Revoking twice is revoking once. */
  async revoke(actor: Actor, id: string): Promise<void> {
    await this.#keys.change(() => {
      const record = this.#managed(actor, id)
      if (record.revokedAt !== null) return { records: [], facts: [] }
      return { records: [revokeKey(record, this.#keys.now())], facts: [factOf(actor, 'key.revoked', record, {})] }
    })
  }

  /**
   * The emergency: every key but a new version of the caller's stops, also those that can do more than it: the brake must be in
   * reach. Each can be rotated to come back. Access tokens that were issued until now stop with them.
   */
  async rotateAll(actor: Actor): Promise<NewVersion> {
    return this.#keys.change(() => {
      const now = this.#keys.now()
      const before = this.#ownKey(actor).record
      const others = this.#keys
        .entries()
        .map((entry) => entry.record)
        .filter((r) => r.id !== actor.keyId)
      const ended = others.filter((record) => ['active', 'pending'].includes(keyState(record, now)))
      const all = others.filter((record) => record.revokedAt === null)
      const issued = rotateKey(before, { compromised: true }, now)
      const stopped = ended.map((record) => record.id)
      const own = { ...issued.record, selfRotation: true }
      return {
        record: own,
        bearer: issued.bearer,
        stopped,
        // Those that have expired as well: given a longer life, they would be back.
        records: [own, ...all.map((record) => stopVersions(record, now))],
        facts: [factOf(actor, 'keys.rotated-all', before, { version: own.current, stopped })],
        events: [rotatedEvent(before, own, 'rotate-all')],
        endsTokens: true,
      }
    })
  }

  /** @throws ApiProblem KEY_NEEDED for who came with a token */
  #ownKey({ keyId }: Actor): KeyEntry {
    if (!isGuest(keyId)) return this.#keys.entry(keyId)
    throw new ApiProblem('KEY_NEEDED', 'An access token has no key here that could be rotated: use an API key.')
  }

  /** The record of a key that the caller may change. */
  #managed(actor: Actor, id: string): KeyRecord {
    const { record } = this.#keys.entry(id)
    if (id !== actor.keyId) checkWithin(record, this.#keys.powersOf(actor))
    return record
  }

  /** The record of a key that the caller can use from then on. Who has a budget gets no second one with it. */
  #takenOver(actor: Actor, id: string): KeyRecord {
    const record = this.#managed(actor, id)
    const isOwn = id === actor.keyId || this.#descendants(actor.keyId).some((made) => made.id === id)
    if (isOwn || !this.#hasBudget(actor.keyId)) return record
    throw new ApiProblem(
      'BEYOND_OWN_KEY',
      'A key with a budget can only rotate and change the keys that it made: another has a budget of its own.',
    )
  }

  /** Its own, or that of a key that it comes from. */
  #hasBudget(id: string): boolean {
    return this.#keys.lineage(id).some(({ budget }) => budget !== null)
  }

  /** Keys made by a key, by those, and so on. */
  #descendants(id: string): KeyRecord[] {
    const found = new Set([id])
    const all = this.#keys.entries().map((entry) => entry.record)
    for (let size = 0; size < found.size; ) {
      size = found.size
      for (const { id: child, createdBy } of all) if (createdBy !== null && found.has(createdBy)) found.add(child)
    }
    found.delete(id)
    return all.filter((record) => found.has(record.id) && record.revokedAt === null)
  }
}

const factOf = (actor: Actor, action: string, record: KeyRecord, detail: AuditFact['detail']): AuditFact => ({
  action,
  keyId: actor.keyId,
  version: actor.version,
  address: actor.address,
  target: record.id,
  detail,
})

/** Until when the version that was current works on; null: it does not. */
const graceOf = (before: KeyRecord, after: KeyRecord): string | null => {
  const version = versionOf(after, currentOf(before).version)
  return version === undefined || version.stoppedAt !== null ? null : version.graceUntil
}

const rotatedEvent = (before: KeyRecord, after: KeyRecord, why: Why): ApiEvent => ({
  type: 'key.rotated',
  data: {
    id: after.id,
    version: after.current,
    previousVersion: before.current,
    activatesAt: currentOf(after).activatesAt,
    graceUntil: graceOf(before, after),
    why,
  },
})
