// Just enough Bitcoin serialisation for the LDK peer's wallet: transactions, txids, the transactions of a block, and
// pulling a finished transaction out of a PSBT. On purpose not ours from src/: the peer shares no code with what it tests.
import { createHash } from 'node:crypto'

export const hex = (b) => Buffer.from(b).toString('hex')
export const unhex = (s) => new Uint8Array(Buffer.from(s, 'hex'))
const sha256 = (b) => createHash('sha256').update(b).digest()
export const sha256d = (b) => sha256(sha256(b))
export const revHex = (b) => Buffer.from(b).reverse().toString('hex') // internal bytes -> display txid

export const u32 = (n) => {
  const b = Buffer.alloc(4)
  b.writeUInt32LE(n >>> 0)
  return b
}
export const u64 = (n) => {
  const b = Buffer.alloc(8)
  b.writeBigUInt64LE(BigInt(n))
  return b
}
export const varint = (n) => {
  if (n < 0xfd) return Buffer.from([n])
  if (n <= 0xffff) return Buffer.from([0xfd, n & 255, n >> 8])
  return Buffer.concat([Buffer.from([0xfe]), u32(n)])
}
export const varbytes = (b) => Buffer.concat([varint(b.length), Buffer.from(b)])

class Reader {
  constructor(bytes) {
    this.b = Buffer.from(bytes)
    this.p = 0
  }
  take(n) {
    if (this.p + n > this.b.length) throw new Error('short read')
    const r = this.b.subarray(this.p, this.p + n)
    this.p += n
    return r
  }
  u8() {
    return this.take(1)[0]
  }
  u32() {
    return this.take(4).readUInt32LE()
  }
  u64() {
    return this.take(8).readBigUInt64LE()
  }
  varint() {
    const c = this.u8()
    if (c < 0xfd) return c
    if (c === 0xfd) return this.take(2).readUInt16LE()
    if (c === 0xfe) return this.u32()
    return Number(this.u64())
  }
  varbytes() {
    return this.take(this.varint())
  }
  get done() {
    return this.p >= this.b.length
  }
}

/** tx = {version, inputs:[{txid(internal bytes), vout, scriptSig, sequence, witness:[...]}], outputs:[{value:bigint, script}], locktime} */
export function parseTx(bytes) {
  const r = new Reader(bytes),
    tx = readTx(r)
  if (!r.done) throw new Error('trailing bytes in tx')
  return tx
}

function readTx(r) {
  const version = r.u32()
  let n = r.varint(),
    segwit = false
  if (n === 0) {
    if (r.u8() !== 1) throw new Error('bad segwit flag')
    segwit = true
    n = r.varint()
  }
  const inputs = []
  for (let i = 0; i < n; i++)
    inputs.push({ txid: r.take(32), vout: r.u32(), scriptSig: r.varbytes(), sequence: r.u32(), witness: [] })
  const outputs = []
  for (let m = r.varint(); m > 0; m--) outputs.push({ value: r.u64(), script: r.varbytes() })
  if (segwit) for (const inp of inputs) for (let k = r.varint(); k > 0; k--) inp.witness.push(r.varbytes())
  const locktime = r.u32()
  return { version, inputs, outputs, locktime }
}

export function serializeTx(tx, { witness = true } = {}) {
  const segwit = witness && tx.inputs.some((i) => i.witness?.length)
  const parts = [u32(tx.version)]
  if (segwit) parts.push(Buffer.from([0, 1]))
  parts.push(varint(tx.inputs.length))
  for (const i of tx.inputs) parts.push(Buffer.from(i.txid), u32(i.vout), varbytes(i.scriptSig ?? []), u32(i.sequence))
  parts.push(varint(tx.outputs.length))
  for (const o of tx.outputs) parts.push(u64(o.value), varbytes(o.script))
  if (segwit)
    for (const i of tx.inputs) {
      parts.push(varint(i.witness.length))
      for (const w of i.witness) parts.push(varbytes(w))
    }
  parts.push(u32(tx.locktime))
  return Buffer.concat(parts)
}

export const txidOf = (tx) => sha256d(serializeTx(tx, { witness: false })) // internal byte order

export const REGTEST_GENESIS_HASH = Buffer.from(
  '06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f',
  'hex',
) // internal order

/** The raw transactions of a serialised block. */
export function blockTransactions(bytes) {
  const r = new Reader(bytes)
  r.take(80)
  const txs = []
  for (let n = r.varint(); n > 0; n--) {
    const from = r.p
    readTx(r)
    txs.push(new Uint8Array(r.b.subarray(from, r.p)))
  }
  if (!r.done) throw new Error('trailing bytes in block')
  return txs
}

/** PSBT v0 -> transaction carrying whatever final witnesses the PSBT has. */
export function extractPsbt(bytes) {
  const r = new Reader(bytes)
  if (r.take(5).toString('hex') !== '70736274ff') throw new Error('not a psbt')
  const readMap = () => {
    const m = new Map()
    for (;;) {
      const key = r.varbytes()
      if (key.length === 0) return m
      m.set(key.toString('hex'), r.varbytes())
    }
  }
  const g = readMap()
  const tx = parseTx(g.get('00'))
  for (const inp of tx.inputs) {
    const m = readMap()
    const w = m.get('08')
    if (w) {
      const wr = new Reader(w)
      for (let k = wr.varint(); k > 0; k--) inp.witness.push(wr.varbytes())
    }
    const s = m.get('07')
    if (s) inp.scriptSig = s
  }
  return tx
}
