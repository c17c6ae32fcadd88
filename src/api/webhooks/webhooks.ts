import { ServiceError } from '../../node/errors.ts'
import type { NodeEvent, NodeService } from '../../node/service.ts'
import { checkWithin } from '../auth/bounds.ts'
import { isGuest } from '../auth/guests.ts'
import { type Caller, isWorking } from '../auth/keyEntry.ts'
import type { KeyRing } from '../auth/keys.ts'
import { grants } from '../auth/scopes.ts'
import { seenBy, typesNamed } from '../events.ts'
import { ApiProblem } from '../problems.ts'
import { Hook, type HookParts } from './hook.ts'
import { Poster } from './post.ts'
import { newWebhookId, newWebhookSecret, RECORD_PREFIX, readRecord, type WebhookRecord } from './record.ts'
import { Slots } from './slots.ts'
import { Targets } from './target.ts'

/** Posts at a time, over all hooks: receivers are waited for beside the node's work, and by so many at most. */
const MAX_POSTS = 32
const MAX_PER_KEY = 20
const MAX_IN_ALL = 200
const TICK_MS = 500

export interface WebhookOptions {
  /** Networks that may be called besides public addresses. */
  readonly targets?: readonly string[]
  readonly timeoutMs?: number
  /** How often it is looked whether a retry is due. */
  readonly tickMs?: number
}

export interface WebhookWishes {
  readonly url?: string
  readonly types?: readonly string[] | null
  readonly name?: string
  readonly enabled?: boolean
}

/** A webhook with a new secret, which is never to be seen again. */
export interface IssuedSecret {
  readonly hook: Hook
  readonly secret: string
}

/**
 * The webhooks of all keys. One sees what the key that made it sees now, and stops when that key does; it is managed by that key, and by
 * those with keys:admin that could manage the key itself.
 */
export class Webhooks {
  readonly #keys: KeyRing
  readonly #service: NodeService
  readonly #targets: Targets
  readonly #poster: Poster
  readonly #parts: HookParts
  readonly #hooks = new Map<string, Hook>()
  /** By event type, as far as it was asked. */
  readonly #byType = new Map<string, readonly Hook[]>()
  /** Of this run: an event that was given its id and is not on disk yet was heard by nobody. */
  #heard = 0
  readonly #named = new WeakMap<readonly string[], ReadonlySet<string>>()
  readonly #tickMs: number
  #timer: NodeJS.Timeout | undefined
  #stopListening: () => void = () => {}

  constructor(service: NodeService, keys: KeyRing, options: WebhookOptions & { onError: (error: unknown) => void }) {
    this.#service = service
    this.#keys = keys
    this.#tickMs = options.tickMs ?? TICK_MS
    this.#targets = new Targets(options.targets ?? [])
    this.#poster = new Poster(this.#targets, options.timeoutMs)
    const slots = new Slots(MAX_POSTS)
    this.#parts = {
      store: service.apiStore,
      service,
      heard: () => this.#heard,
      now: () => keys.now(),
      userAgent: `fulmen/${service.info().version}`,
      post: (make, signal, still) =>
        slots.use(async () => (still() && !signal.aborted ? this.#poster.post(make(), signal) : null)),
      sees: (record) => this.#sees(record),
      onError: options.onError,
    }
  }

  /** Takes up what the last run left. */
  async load(): Promise<void> {
    for (const [, value] of await this.#service.apiStore.list(RECORD_PREFIX)) this.#add(readRecord(value))
    this.#stopListening = this.#service.onEvent((event: NodeEvent) => {
      for (const hook of this.#wanting(event.type)) hook.offer(event)
      this.#heard = event.id
    })
    this.#timer = setInterval(() => {
      for (const hook of this.#hooks.values()) hook.tick()
    }, this.#tickMs).unref()
    for (const hook of this.#hooks.values()) hook.wake()
  }

  async close(): Promise<void> {
    this.#stopListening()
    clearInterval(this.#timer)
    await Promise.all([...this.#hooks.values()].map((hook) => hook.close()))
    this.#poster.close()
  }

  /** Of every key. */
  all(): readonly Hook[] {
    return [...this.#hooks.values()]
  }

  /** Those that the caller may manage. */
  list(caller: Caller): readonly Hook[] {
    return [...this.#hooks.values()].filter(({ record }) => this.#mayManage(caller, record))
  }

  /** @throws ServiceError NOT_FOUND, also for one that is not the caller's business */
  get(caller: Caller, id: string): Hook {
    const hook = this.#hooks.get(id)
    if (!hook || !this.#mayManage(caller, hook.record)) {
      throw new ServiceError('NOT_FOUND', `There is no webhook ${id} of this key.`)
    }
    return hook
  }

  /** @throws ApiProblem or ServiceError: the address, the types, or how many there are */
  async create(caller: Caller, wishes: WebhookWishes & { readonly url: string }): Promise<IssuedSecret> {
    if (isGuest(caller.keyId)) {
      throw new ApiProblem('KEY_NEEDED', 'A webhook lives as long as the key that made it: make it with an API key.')
    }
    await this.#check(caller, wishes)
    const all = [...this.#hooks.values()]
    const own = all.filter(({ record }) => record.keyId === caller.keyId)
    if (own.length >= MAX_PER_KEY || all.length >= MAX_IN_ALL) {
      throw new ServiceError('LIMIT_EXCEEDED', `A key has at most ${MAX_PER_KEY} webhooks, a node ${MAX_IN_ALL}.`)
    }
    const now = new Date(this.#keys.now()).toISOString()
    const secret = newWebhookSecret()
    const { url, types = null, name = '' } = wishes
    const hook = this.#add({
      id: newWebhookId(),
      keyId: caller.keyId,
      name,
      url,
      types,
      createdAt: now,
      armedAt: now,
      secrets: [{ secret, until: null }],
      enabled: wishes.enabled ?? true,
      gaveUp: null,
      failing: null,
      cursor: this.#service.lastEventId(),
      attempts: 0,
    })
    await hook.flush()
    return { hook, secret }
  }

  /** Switching it on begins anew where it stopped; so does another address. */
  async update(caller: Caller, id: string, wishes: WebhookWishes): Promise<Hook> {
    const hook = this.get(caller, id)
    await this.#check(this.#ownerOf(hook.record), wishes)
    const { enabled, url } = wishes
    const armedAt = new Date(this.#keys.now()).toISOString()
    const anew = enabled === true || (url !== undefined && url !== hook.record.url)
    const changed = hook.change((record) => ({
      ...record,
      ...wishes,
      ...(enabled === true && { armedAt }),
      ...(anew && { gaveUp: null, failing: null }),
    }))
    this.#byType.clear()
    await changed
    return hook
  }

  /** Both secrets sign through the overlap, so that the receiver can change at any time in it. */
  async rotate(caller: Caller, id: string, graceSeconds: number): Promise<IssuedSecret> {
    const hook = this.get(caller, id)
    const secret = newWebhookSecret()
    const until = new Date(this.#keys.now() + graceSeconds * 1000).toISOString()
    await hook.change((record) => {
      const [present] = record.secrets
      const old = present && graceSeconds > 0 ? [{ ...present, until }] : []
      return { ...record, secrets: [{ secret, until: null }, ...old] }
    })
    return { hook, secret }
  }

  async delete(caller: Caller, id: string): Promise<void> {
    const hook = this.get(caller, id)
    this.#hooks.delete(id)
    this.#byType.clear()
    await hook.delete()
  }

  #add(record: WebhookRecord): Hook {
    const hook = new Hook(record, this.#parts)
    this.#hooks.set(record.id, hook)
    this.#byType.clear()
    return hook
  }

  async #check(owner: Pick<Caller, 'scopes'>, { url, types }: WebhookWishes): Promise<void> {
    if (url !== undefined) await this.#targets.check(url)
    if (!types) return
    if ([...typesNamed(types)].some((type) => seenBy(owner.scopes, type))) return
    throw new ApiProblem('SCOPE_MISSING', 'The key of this webhook may see none of these events.')
  }

  #ownerOf({ keyId }: WebhookRecord): Pick<Caller, 'scopes'> {
    return this.#keys.find(keyId)?.record ?? { scopes: [] }
  }

  #mayManage(caller: Caller, { keyId }: WebhookRecord): boolean {
    if (keyId === caller.keyId) return true
    if (!grants(caller.scopes, 'keys:admin')) return false
    try {
      checkWithin(this.#keys.entry(keyId).record, this.#keys.powersOf(caller))
      return true
    } catch {
      return false
    }
  }

  #sees(record: WebhookRecord): ((type: string) => boolean) | null {
    // For every event and webhook: what takes time was worked out before.
    const entry = this.#keys.find(record.keyId)
    const now = this.#keys.now()
    if (!entry?.versions.some((version) => isWorking(version, now))) return null
    const { scopes, compromisedAt } = entry.record
    if (!grants(scopes, 'webhooks:write')) return null
    if (compromisedAt !== null && Date.parse(record.armedAt) <= Date.parse(compromisedAt)) return null
    const wanted = record.types && this.#namedBy(record.types)
    return (type) => (wanted === null || wanted.has(type)) && seenBy(scopes, type)
  }

  /** So that an event costs nothing to those that did not ask for its type. */
  #wanting(type: string): readonly Hook[] {
    const known = this.#byType.get(type)
    if (known) return known
    const all = [...this.#hooks.values()]
    const wanting = all.filter(({ record: { types } }) => types === null || this.#namedBy(types).has(type))
    this.#byType.set(type, wanting)
    return wanting
  }

  #namedBy(types: readonly string[]): ReadonlySet<string> {
    const known = this.#named.get(types)
    if (known) return known
    const named = typesNamed(types)
    this.#named.set(types, named)
    return named
  }
}
