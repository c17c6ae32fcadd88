import { FulmenError } from '../base/errors.ts'
import { isDamaged } from '../store/checked.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver, Op } from '../store/types.ts'
import type { EventLog } from './events.ts'
import type { Reactor } from './reactor.ts'
import type { ApiOp, ApiStore } from './service.ts'

const opOf = ({ key, value }: ApiOp): Op =>
  value === undefined ? { key: keys.api(key) } : { key: keys.api(key), value }

/** The API's records of a running node: every write is part of a turn, and shares its batch and its fsync. */
export function apiStore(parts: { driver: Driver; reactor: Reactor; events: EventLog }): ApiStore {
  const { driver, reactor, events } = parts
  return storeOver(driver, (ops, news) =>
    reactor.run((scope) => {
      for (const op of ops) scope.write(opOf(op))
      for (const { type, data } of news) events.emit(scope, type, data)
    }),
  )
}

/** The API's records of a node that does not run: nobody hears of events. @param commit of the journal */
export const offlineApiStore = (driver: Driver, commit: (ops: readonly Op[]) => Promise<void>): ApiStore =>
  storeOver(driver, (ops) => commit(ops.map(opOf)))

/** What takes the place of a record that is damaged, where `get` throws for it. */
export const ifDamaged =
  <T>(instead: T) =>
  (e: unknown): T => {
    if (e instanceof FulmenError && e.code === 'RECORD_DAMAGED') return instead
    throw e
  }

type Commit = (ops: readonly ApiOp[], events: Parameters<ApiStore['commit']>[1] & object) => Promise<void>

function storeOver(driver: Driver, commit: Commit): ApiStore {
  return {
    async get(key) {
      const value = await driver.get(keys.api(key))
      if (value && isDamaged(value)) throw new FulmenError('RECORD_DAMAGED', `the record ${key} of the API is damaged`)
      return value
    },
    put: (key, value) => commit([{ key, value }], []),
    delete: (key) => commit([{ key }], []),
    commit: (ops, events = []) => commit(ops, events),
    async newest(prefix, { from = '', before }, limit) {
      const all = keys.api(prefix)
      const lt = before === undefined ? prefixRange(all).lt : all + before
      const names: string[] = []
      for await (const [key] of driver.entries({ gte: all + from, lt, reverse: true, limit }))
        names.push(key.slice(all.length))
      return names
    },
    async list(prefix, limit) {
      const found: (readonly [string, Uint8Array])[] = []
      const range = { ...prefixRange(keys.api(prefix)), ...(limit === undefined ? {} : { limit }) }
      for await (const [key, value] of driver.entries(range))
        if (!isDamaged(value)) found.push([key.slice(keys.api('').length), value])
      return found
    },
  }
}
