import type { ChannelId } from '../../src/base/ids.ts'
import { unpack } from '../../src/base/pack.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import type { Driver, Op, Range } from '../../src/store/types.ts'

/**
 * What becomes of a batch. `fail`: the write is refused, as by a full disk. `die`: the power goes during the write, and only these
 * operations are found afterwards.
 */
export type Fate = { readonly tag: 'fail' } | { readonly tag: 'die'; readonly kept: readonly Op[] }

/** Decides on the n-th batch (1, 2 …) since the disk was opened; null lets it pass. */
export type Judge = (ops: readonly Op[], n: number) => Fate | null

/** A disk that can fail at any write. What it holds survives the process that wrote it. */
export class Disk implements Driver {
  readonly #memory: MemoryDriver
  readonly #onDeath: () => void
  judge: Judge = () => null
  writes = 0
  /** A write failed: that the process stops is as it should be. */
  refused = false
  /** The process is gone: nothing is written any more, and nobody hears of it. */
  dead = false

  constructor(data: ReadonlyMap<string, Uint8Array>, onDeath: () => void) {
    this.#memory = new MemoryDriver(data)
    this.#onDeath = onDeath
  }

  snapshot(): ReadonlyMap<string, Uint8Array> {
    return this.#memory.snapshot()
  }
  get(key: string): Promise<Uint8Array | undefined> {
    return this.#memory.get(key)
  }
  getNow(key: string): Uint8Array | undefined {
    return this.#memory.getNow(key)
  }
  entries(range: Range): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#memory.entries(range)
  }

  async batch(ops: readonly Op[]): Promise<void> {
    if (this.dead) return never()
    const fate = this.judge(ops, ++this.writes)
    if (fate?.tag === 'fail') {
      this.refused = true
      throw new Error('no space left on device')
    }
    await this.#memory.batch(fate?.kept ?? ops)
    if (!fate) return
    this.dead = true
    this.#onDeath()
    return never()
  }

  /** Records are lost, whoever is running. */
  wipe(keys: readonly string[]): Promise<void> {
    return this.#memory.batch(keys.map((key) => ({ key })))
  }

  /** A record is lost, or becomes something else. */
  harm(key: string, value: Uint8Array | null): Promise<void> {
    return this.#memory.batch([value ? { key, value } : { key }])
  }

  async close(): Promise<void> {}
}

const never = (): Promise<never> => new Promise(() => {})

export interface Tear {
  /** Which groups are found afterwards. */
  readonly keeps: (group: string) => boolean
  readonly localIdOf: (channelId: ChannelId) => string
}

/**
 * A batch cut apart as a store without atomic batches would leave it: each channel, payment, invoice and other part of the node is
 * written whole or not at all. What was earned by a forward is written with the channel that pays it.
 */
export function torn(ops: readonly Op[], { keeps, localIdOf }: Tear): readonly Op[] {
  const records = new Map<string, string>()
  for (const { key, value } of ops) {
    const [, kind, hash] = /^(invoice|payment)\/(.+)$/.exec(key) ?? []
    if (!kind || !hash || !value) continue
    const { seq, id } = unpack<{ seq: number; id: string }>(value)
    records.set(`${kind}-index/${seq}`, `${kind}/${hash}`)
    records.set(`${kind}-id/${id}`, `${kind}/${hash}`)
  }
  const groupOf = ({ key, value }: Op): string => {
    const [first = '', second = ''] = key.split('/')
    if (first === 'channel' || first === 'channel-meta') return `channel/${second}`
    if (first === 'forward' && value)
      return `channel/${localIdOf(unpack<{ incomingChannelId: ChannelId }>(value).incomingChannelId)}`
    if (first.endsWith('-index')) return records.get(`${first}/${Number(key.slice(key.lastIndexOf('/') + 1))}`) ?? key
    if (first.endsWith('-id')) return records.get(key) ?? key
    return first === 'wallet' ? 'wallet' : key
  }
  const kept = new Map<string, boolean>()
  return ops.filter((op) => {
    const group = groupOf(op)
    const known = kept.get(group)
    const keep = known ?? keeps(group)
    if (known === undefined) kept.set(group, keep)
    return keep
  })
}
