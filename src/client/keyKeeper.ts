/** The whole bearer value, or where to get it: asked again when the node takes the one before no more. */
export type KeySource = string | (() => string | Promise<string>)

export interface KeyOptions {
  /** Needed for all but `ready`. */
  readonly key?: KeySource
  /** Rotate the key by itself when the node asks for it. Default true. */
  readonly rotate?: boolean
  /**
   * A new version of the key, before it is used for the first time: keep it where the next start looks for it. Until this resolves
   * the client goes on with the version before.
   */
  readonly onKey?: (key: string) => void | Promise<void>
}

/** What the node says of another version: the bearer value, with whatever else. */
interface Issued {
  readonly secret: string
}

const TRY_AGAIN_MS = 60_000

/** `fulmen_<id>_<secret>` → id */
const keyIdOf = (key: string | undefined): string | undefined => key?.split('_')[1]

/**
 * The key of a client, and how it moves to the next version without a failed call: the node is asked for a new version before the
 * deadline, calls that cross a change are repeated with the key that is current then.
 */
export class KeyKeeper {
  readonly #options: KeyOptions
  #current: string | undefined
  /** Works on for a while; taken up again when the current one is rolled back. */
  #previous: string | undefined
  #changing: Promise<unknown> | undefined
  #notBefore = 0

  constructor(options: KeyOptions) {
    this.#options = options
    if (typeof options.key === 'string') this.#current = options.key
  }

  get id(): string | undefined {
    return keyIdOf(this.#current)
  }

  async current(): Promise<string | undefined> {
    if (this.#current === undefined) await this.#ask(() => this.#current === undefined)
    return this.#current
  }

  /** Takes the version that a call brings; other calls that are refused meanwhile wait for it. */
  async adopt<T extends Issued>(call: () => Promise<T>): Promise<T> {
    let issued: T | undefined
    await this.#change(async () => {
      issued = await call()
      await this.#options.onKey?.(issued.secret)
      this.#take(issued.secret)
    })
    return issued as T
  }

  /**
   * The node takes this key no more.
   * @param tried all keys that the call was sent with
   * @returns whether there is another one to try
   */
  async refused(tried: ReadonlySet<string | undefined>): Promise<boolean> {
    await this.#changing?.catch(() => {})
    if (!tried.has(this.#current)) return true
    await this.#ask(() => tried.has(this.#current))
    if (!tried.has(this.#current)) return true
    if (this.#previous === undefined || tried.has(this.#previous)) return false
    this.#take(this.#previous)
    return true
  }

  /** Whether the node, with its answer to a call with this key, asks for a rotation that nobody has begun. */
  isAsked(key: string | undefined, headers: Headers): boolean {
    const from = headers.get('x-key-rotate-from')
    if (from === null || this.#options.rotate === false || this.#changing !== undefined) return false
    if (key !== this.#current) return false // asked before a change that has been made since
    const now = Date.parse(headers.get('date') ?? '') || Date.now()
    if (now < Date.parse(from) || now < this.#notBefore) return false
    this.#notBefore = now + TRY_AGAIN_MS
    return true
  }

  /** Asks the source, if there is one to ask; those that waited for another asking look again whether they must. */
  async #ask(must: () => boolean): Promise<void> {
    const { key } = this.#options
    if (typeof key !== 'function') return
    await this.#change(async () => {
      if (must()) this.#take(await key())
    })
  }

  #take(key: string): void {
    if (key === this.#current) return
    this.#previous = this.#current
    this.#current = key
    this.#notBefore = 0
  }

  /** One change at a time. */
  async #change(act: () => Promise<void>): Promise<void> {
    while (this.#changing) await this.#changing.catch(() => {})
    const changing = act()
    this.#changing = changing
    try {
      await changing
    } finally {
      this.#changing = undefined
    }
  }
}
