import type { ApiEvent, ApiOp, ApiStore, NameRange } from '../../src/node/service.ts'

/** Ordered keys in memory; what a restart finds again. */
export class FakeStore implements ApiStore {
  readonly records = new Map<string, Uint8Array>()
  /** Where the events of a commit go. */
  announce: (type: string, data: Record<string, unknown>) => void = () => {}
  async commit(ops: readonly ApiOp[], events: readonly ApiEvent[] = []): Promise<void> {
    for (const { key, value } of ops) value === undefined ? this.records.delete(key) : this.records.set(key, value)
    for (const { type, data } of events) this.announce(type, data)
  }
  async get(key: string): Promise<Uint8Array | undefined> {
    return this.records.get(key)
  }
  async put(key: string, value: Uint8Array): Promise<void> {
    this.records.set(key, value)
  }
  async delete(key: string): Promise<void> {
    this.records.delete(key)
  }
  async newest(prefix: string, { from = '', before = '\uffff' }: NameRange, limit: number): Promise<readonly string[]> {
    const names = (await this.list(prefix)).map(([key]) => key.slice(prefix.length))
    return names
      .filter((name) => name >= from && name < before)
      .toReversed()
      .slice(0, limit)
  }
  async list(prefix: string, limit = Number.POSITIVE_INFINITY): Promise<readonly (readonly [string, Uint8Array])[]> {
    const found = [...this.records].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1))
    return found.slice(0, limit)
  }
}
