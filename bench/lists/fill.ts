import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Level } from 'level'
import { toHex } from '../../src/base/bytes.ts'
import { pack, unpack } from '../../src/base/pack.ts'
import { REVOKED_PREFIX } from '../../src/channel/persist.ts'
import type { Bookable, Booked } from '../../src/node/recordBook.ts'
import type { NodeEvent } from '../../src/node/service.ts'
import { CheckedDriver } from '../../src/store/checked.ts'
import { LevelDriver } from '../../src/store/level.ts'
import { keys, prefixRange, type RecordKind } from '../../src/store/schema.ts'
import type { Driver, Op } from '../../src/store/types.ts'

const BATCH = 20_000

/**
 * Makes the history of a node that is down as long as if it had made so many payments: each record is a copy of one that the node
 * itself wrote, under names of its own. Invoices are a tenth of it. What channels keep of each payment is there as well.
 */
export async function fill(dataDir: string, payments: number): Promise<void> {
  const driver = new CheckedDriver(await LevelDriver.open(join(dataDir, 'db')))
  try {
    const writer = new Writer(driver)
    await fillBook(driver, writer, { kind: 'payment', count: payments })
    await fillBook(driver, writer, { kind: 'invoice', count: Math.ceil(payments / 10) })
    await fillEvents(driver, writer, payments)
    await fillRevoked(driver, writer, payments)
    await writer.flush()
  } finally {
    await driver.close()
  }
  await settle(join(dataDir, 'db'))
}

/** A database that grew over months has put its files in order long since; one that was filled at once does it at the next start. */
async function settle(directory: string): Promise<void> {
  const db = new Level(directory)
  await db.open()
  await (db as unknown as { compactRange(from: string, to: string): Promise<void> }).compactRange('', '\uffff')
  await db.close()
}

class Writer {
  readonly #driver: Driver
  #ops: Op[] = []
  constructor(driver: Driver) {
    this.#driver = driver
  }
  async put(key: string, value: Uint8Array): Promise<void> {
    this.#ops.push({ key, value })
    if (this.#ops.length >= BATCH) await this.flush()
  }
  async flush(): Promise<void> {
    await this.#driver.batch(this.#ops)
    this.#ops = []
  }
}

async function last(driver: Driver, prefix: string): Promise<readonly [string, Uint8Array]> {
  for await (const entry of driver.entries({ ...prefixRange(prefix), reverse: true, limit: 1 })) return entry
  throw new Error(`the node has written nothing under ${prefix}: there is no record to copy`)
}

async function fillBook(
  driver: Driver,
  writer: Writer,
  { kind, count }: { readonly kind: RecordKind; readonly count: number },
): Promise<void> {
  const index = keys.recordIndex(kind, 'all')
  const [lastKey] = await last(driver, index)
  const [, value] = await last(driver, `${kind}/`)
  const copied = unpack<Booked<Bookable>>(value)
  let seq = Number(lastKey.slice(index.length))
  for (let n = 0; n < count; n++) {
    seq++
    const paymentHash = toHex(new Uint8Array(randomBytes(32))) as Bookable['paymentHash']
    const booked = {
      ...copied,
      id: toHex(new Uint8Array(randomBytes(12))),
      seq,
      record: { ...copied.record, paymentHash },
    }
    const name = pack(paymentHash)
    await writer.put(keys.record(kind, paymentHash), pack(booked))
    await writer.put(keys.recordId(kind, booked.id), name)
    await writer.put(keys.recordAt(kind, 'all', seq), name)
    await writer.put(keys.recordAt(kind, copied.record.status, seq), name)
  }
}

async function fillEvents(driver: Driver, writer: Writer, count: number): Promise<void> {
  const [, value] = await last(driver, 'event/')
  const copied = unpack<NodeEvent>(value)
  for (let n = 1; n <= count; n++) {
    const event = { ...copied, id: copied.id + n }
    await writer.put(keys.event(event.id), pack(event))
  }
  await writer.put(keys.sumsPosition, pack(copied.id + count)) // as if the sums had followed all the while
}

/** Ids from where no channel of the run comes to. */
const FAR = 10_000_000

async function fillRevoked(driver: Driver, writer: Writer, count: number): Promise<void> {
  const [meta] = await last(driver, keys.channelMeta(''))
  const localId = meta.slice(keys.channelMeta('').length)
  const [key, value] = await last(driver, keys.channel(localId, REVOKED_PREFIX))
  const head = key.slice(0, key.lastIndexOf('/') + 1)
  for (let n = 0; n < count; n++) await writer.put(`${head}${FAR + n}`, value)
}

/** The list as it would be without an index: every record is read and sorted, and one page shown. @returns ms */
export async function timeScan(dataDir: string, limit: number): Promise<number> {
  const driver = new CheckedDriver(await LevelDriver.open(join(dataDir, 'db')))
  try {
    const begun = performance.now()
    const all: Booked<Bookable>[] = []
    for await (const [, value] of driver.entries(prefixRange('payment/'))) all.push(unpack(value))
    const page = all.sort((a, b) => b.seq - a.seq).slice(0, limit)
    if (page.length !== limit) throw new Error('the scan found too little')
    return performance.now() - begun
  } finally {
    await driver.close()
  }
}
