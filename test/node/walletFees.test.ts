import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { outpointKey, type Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { decodePsbt, encodePsbt, PSBT_IN, type Psbt, witnessUtxo, witnessUtxoValue } from '../../src/bitcoin/psbt.ts'
import { decodeTransaction, encodeTransaction, weightOf } from '../../src/bitcoin/transaction.ts'
import { ChainError } from '../../src/chain/errors.ts'
import type { WalletTransactionView } from '../../src/node/onchainService.ts'
import { type Name, nodeIdOf, type Snapshot, World } from './world.ts'

/* The embedded chain is the judge: its mempool has the rules of BIP 125 and its interpreter checks every signature. */

let base: Snapshot
let world: World
beforeAll(async () => {
  const made = await World.start(['alice', 'bob'])
  await made.fund()
  base = made.snapshot()
  made.close()
})
afterEach(() => world.close())
const begin = async () => {
  world = await World.start(['alice', 'bob'], base)
}

const api = (name: Name) => world.of(name).api
const inPool = (txid: string) => world.chain.mempool.get(txid as Txid)
const ask = async <T>(call: Promise<T>): Promise<T> => (await world.attempt(call))!

async function sendToBob(feerateSatPerVbyte: number, amountSat = 50_000): Promise<WalletTransactionView> {
  const { address } = await ask(api('bob').newAddress())
  return ask(api('alice').sendOnChain({ outputs: [{ address, amountSat: sat(amountSat) }], feerateSatPerVbyte }))
}
const bump = (name: Name, txid: string, feerateSatPerVbyte?: number) =>
  ask(api(name).bumpTransaction(txid, feerateSatPerVbyte === undefined ? {} : { feerateSatPerVbyte }))
const total = async (name: Name) => (await api(name).utxos()).reduce((sum, u) => sum + u.amountSat, 0n)
const rate = (txid: string) => {
  const { fee, tx } = inPool(txid)!
  return (Number(fee) * 4) / weightOf(tx)
}

describe('BIP 125: a send that is bumped', () => {
  it('is replaced, again and again: the pool takes each, the payee gets the same, the change pays', async () => {
    await begin()
    const before = await total('alice')
    let last = await sendToBob(1)
    for (const feerate of [2, 3, 5, 40]) {
      const next = await bump('alice', last.txid, feerate)
      expect(inPool(last.txid)).toBeUndefined()
      expect(rate(next.txid)).toBeGreaterThanOrEqual(feerate)
      expect(rate(next.txid)).toBeLessThan(feerate * 1.05 + 1)
      expect(next.feeSat).toBe(inPool(next.txid)!.fee)
      expect(next.label).toBe('send')
      last = next
    }
    await world.mine(1)
    expect(await ask(api('alice').walletTransaction(last.txid))).toMatchObject({
      blockHeight: world.chain.state.height,
    })
    expect(await total('alice')).toBe(before - 50_000n - last.feeSat!)
    expect(await api('bob').utxos()).toContainEqual(expect.objectContaining({ amountSat: 50_000n, confirmations: 1 }))
  })

  it('is not replaced while a transaction that is being made spends its change: a peer may have signed for that', async () => {
    await begin()
    const sent = await sendToBob(1)
    const alice = world.of('alice').node!
    const amountSat = sat((await total('alice')) - 30_000n)
    const outputs = [{ amountSat, scriptPubKey: inPool(sent.txid)!.tx.outputs[0]!.scriptPubKey }]
    const funding = await alice.reactor.run(() =>
      alice.wallet.fund({ outputs, feeratePerKw: 500, owner: 'channel:x', anchorChannels: 0 }),
    )
    expect(funding.tx.inputs.map((i) => i.txid)).toContain(sent.txid)
    await expect(bump('alice', sent.txid, 20)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(inPool(sent.txid)).toBeDefined()
    await alice.reactor.run(() => alice.wallet.release('channel:x'))
    expect(inPool((await bump('alice', sent.txid, 20)).txid)).toBeDefined()
  })

  it('of all is paid for by its payee, and by nothing that came in since', async () => {
    await begin()
    const before = await total('alice')
    const { address } = await ask(api('bob').newAddress())
    const outputs = [{ address, amountSat: 'all' }] as const
    let last = await ask(api('alice').sendOnChain({ outputs, feerateSatPerVbyte: 1 }))
    const back = await ask(api('alice').newAddress())
    const income = [{ address: back.address, amountSat: sat(70_000) }]
    const paid = await ask(api('bob').sendOnChain({ outputs: income }))
    for (const feerate of [3, 30]) {
      const next = await bump('alice', last.txid, feerate)
      expect(inPool(last.txid)).toBeUndefined()
      expect(rate(next.txid)).toBeGreaterThanOrEqual(feerate)
      expect(rate(next.txid)).toBeLessThan(feerate * 1.05 + 1)
      expect(next).toMatchObject({ label: 'send all', feeSat: inPool(next.txid)!.fee, netSat: -before })
      expect(inPool(next.txid)!.tx.outputs.map((o) => o.amountSat)).toEqual([before - next.feeSat!])
      last = next
    }
    expect(inPool(paid.txid)).toBeDefined()
    await world.mine(1)
    expect(await total('alice')).toBe(70_000n)
  })

  it('takes further coins where its change does not suffice', async () => {
    await begin()
    const [coin] = await api('alice').utxos()
    const sent = await sendToBob(1, Number(coin!.amountSat) - 1_000)
    const bumped = await bump('alice', sent.txid, 30)
    expect(inPool(bumped.txid)!.tx.inputs.length).toBeGreaterThan(inPool(bumped.txid)!.tx.outputs.length - 1)
    expect(inPool(sent.txid)).toBeUndefined()
    expect(rate(bumped.txid)).toBeGreaterThanOrEqual(30)
  })

  it('asks for more by itself, and says how much is needed where too little is asked for', async () => {
    await begin()
    const sent = await sendToBob(10)
    const refusal = await bump('alice', sent.txid, 10).catch((e) => e)
    expect(refusal).toMatchObject({ code: 'CONFLICT' })
    const least = Number(/ask for ([\d.]+) sat/.exec(refusal.message)?.[1])
    expect(least).toBeGreaterThan(10)
    expect(inPool(sent.txid)).toBeDefined()
    const bumped = await bump('alice', sent.txid, least)
    expect(rate((await bump('alice', bumped.txid)).txid)).toBeGreaterThan(least)
  })

  it('stays as it was when the chain refuses the replacement', async () => {
    await begin()
    const before = await total('alice')
    const sent = await sendToBob(2)
    const { source } = world.of('alice').node!
    const { broadcast } = source
    source.broadcast = async () => ({ accepted: false, reason: 'no' })
    await expect(bump('alice', sent.txid, 9)).rejects.toMatchObject({ code: 'TRANSACTION_REJECTED' })
    source.broadcast = broadcast
    await world.mine(1)
    expect(await total('alice')).toBe(before - 50_000n - sent.feeSat!)
    expect((await api('alice').utxos()).some((u) => u.locked)).toBe(false)
  })

  it('is not bumped once it is confirmed, nor one that the wallet does not know, nor beyond the fee allowed', async () => {
    await begin()
    const sent = await sendToBob(2)
    const dear = ask(api('alice').bumpTransaction(sent.txid, { feerateSatPerVbyte: 50, maxFeeSat: sat(100n) }))
    await expect(dear).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect((await api('alice').utxos()).some((u) => u.locked)).toBe(false)
    await world.mine(1)
    await expect(bump('alice', sent.txid, 9)).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(bump('alice', 'ab'.repeat(32), 9)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('is found by the local id of the call after a crash', async () => {
    await begin()
    const sent = await sendToBob(2)
    const id = api('alice').newId()
    const bumped = await ask(api('alice').bumpTransaction(sent.txid, { id, feerateSatPerVbyte: 9 }))
    await world.restart('alice')
    expect((await ask(api('alice').walletTransaction(id))).txid).toBe(bumped.txid)
  })
})

describe('a child that pays for its parent', () => {
  const packageRate = (parent: string, child: string) => {
    const [p, c] = [inPool(parent)!, inPool(child)!]
    return (Number(p.fee + c.fee) * 4) / (weightOf(p.tx) + weightOf(c.tx))
  }

  it('helps a funding transaction, whose txid stays', async () => {
    await begin()
    const opening = api('alice').openChannel({
      peer: nodeIdOf('bob'),
      capacitySat: sat(300_000n),
      feerateSatPerVbyte: 1,
    })
    await world.settle()
    const { id, funding } = await opening
    const child = await bump('alice', funding!.txid, 20)
    expect(child.label).toBe(`fee of ${funding!.txid}`)
    expect(packageRate(funding!.txid, child.txid)).toBeGreaterThanOrEqual(20)
    expect(inPool(child.txid)!.tx.inputs.map((i) => i.txid)).toContain(funding!.txid)
    await world.mine(6)
    expect(await api('alice').channel(id)).toMatchObject({ state: 'normal', funding })
  })

  it('helps what others send us, and a send that another transaction builds on', async () => {
    await begin()
    const incoming = await sendToBob(1)
    await world.of('bob').node!.reactor.run(() => {
      const { wallet } = world.of('bob').node!
      wallet.sent(decodeTransaction(encodeTransaction(inPool(incoming.txid)!.tx)), {}) // seen before a block has it
    })
    const child = await bump('bob', incoming.txid, 12)
    expect(packageRate(incoming.txid, child.txid)).toBeGreaterThanOrEqual(12)

    // All of Alice's other coins are spent, so that her next send builds on the change of this one.
    const change = (await api('alice').utxos()).filter((u) => u.outpoint.txid === incoming.txid)
    const { address } = await ask(api('bob').newAddress())
    const utxos = change.map((u) => u.outpoint)
    await ask(
      api('alice').sendOnChain({ outputs: [{ address, amountSat: sat(9_000n) }], feerateSatPerVbyte: 1, utxos }),
    )
    await expect(bump('alice', incoming.txid, 15)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(inPool(incoming.txid)).toBeDefined()
    expect(inPool(child.txid)).toBeDefined()
  })
})

describe('BIP 174: a PSBT', () => {
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
  const create = async (amountSat = 40_000) => {
    const { address } = await ask(api('bob').newAddress())
    return ask(api('alice').psbt.create({ outputs: [{ address, amountSat: sat(amountSat) }], feerateSatPerVbyte: 5 }))
  }
  const edited = (text: string, edit: (psbt: Psbt) => Psbt) => encodePsbt(edit(decodePsbt(bytes(text))))

  it('is made, signed, finalised and broadcast; its txid is known from the start', async () => {
    await begin()
    const before = await total('alice')
    const made = await create()
    expect(made).toMatchObject({ complete: false, hex: null })
    expect((await api('alice').utxos()).some((u) => u.locked)).toBe(true)
    await expect(ask(api('alice').psbt.broadcast(bytes(made.psbt)))).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
    })
    const signed = await ask(api('alice').psbt.sign(bytes(made.psbt)))
    const final = await ask(api('alice').psbt.finalise(bytes(signed.psbt)))
    expect(final).toMatchObject({ complete: true, txid: made.txid, feeSat: made.feeSat })
    expect(await ask(api('alice').psbt.broadcast(bytes(signed.psbt)))).toBe(made.txid)
    expect(toHex(encodeTransaction(inPool(made.txid)!.tx))).toBe(final.hex)
    expect(inPool(made.txid)!.fee).toBe(made.feeSat)
    expect(await ask(api('alice').psbt.broadcast(bytes(final.psbt)))).toBe(made.txid)
    await world.mine(1)
    expect(await total('alice')).toBe(before - 40_000n - made.feeSat!)
    expect((await api('alice').utxos()).some((u) => u.locked)).toBe(false)
  })

  it('that is not rightly signed costs nobody the use of its coins, also when the chain cannot be asked', async () => {
    await begin()
    const made = await create()
    const final = await ask(
      api('alice').psbt.finalise(bytes((await ask(api('alice').psbt.sign(bytes(made.psbt)))).psbt)),
    )
    const forged = edited(final.psbt, (p) => ({
      ...p,
      tx: { ...p.tx, outputs: p.tx.outputs.map((o) => ({ ...o, amountSat: sat(o.amountSat - 1n) })) },
    }))
    const free = await api('alice').wallet()
    vi.spyOn(world.of('alice').node!.source, 'broadcast').mockRejectedValue(new Error('the Bitcoin node is away'))
    await expect(ask(api('alice').psbt.broadcast(forged))).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      message: expect.stringContaining('not rightly signed'),
    })
    vi.restoreAllMocks()
    expect(await api('alice').wallet()).toEqual(free)
    expect(await ask(api('alice').psbt.broadcast(bytes(final.psbt)))).toBe(made.txid)
  })

  it('is told as sent while the Bitcoin node is away, as is a send and a bump, and goes out when it is back', async () => {
    await begin()
    const made = await create()
    const { psbt } = await ask(api('alice').psbt.sign(bytes(made.psbt)))
    const { source } = world.of('alice').node!
    vi.spyOn(source, 'broadcast').mockRejectedValue(new ChainError('UNAVAILABLE', 'the Bitcoin node is away'))
    const sent = await sendToBob(2)
    const raised = await bump('alice', sent.txid, 9)
    const txid = await ask(api('alice').psbt.broadcast(bytes(psbt)))
    expect([sent.status, raised.status]).toEqual(['unconfirmed', 'unconfirmed'])
    vi.restoreAllMocks()
    await world.mine(1)
    expect([sent.txid, raised.txid, txid].map((id) => inPool(id) !== undefined)).toEqual([false, true, true])
  })

  it('of two wallets is signed by each for its own inputs alone', async () => {
    await begin()
    const hers = await create()
    const [coin] = await api('bob').utxos()
    const bobs = await ask(
      api('bob').psbt.create({
        outputs: [{ address: coin!.address, amountSat: sat(7_000n) }],
        utxos: [coin!.outpoint],
      }),
    )
    const [a, b] = [decodePsbt(bytes(hers.psbt)), decodePsbt(bytes(bobs.psbt))]
    const joint: Psbt = {
      tx: { ...a.tx, inputs: [...a.tx.inputs, ...b.tx.inputs], outputs: [...a.tx.outputs, ...b.tx.outputs] },
      global: new Map(),
      inputs: [...a.inputs, ...b.inputs],
      outputs: [...a.outputs, ...b.outputs],
    }
    const byAlice = await ask(api('alice').psbt.sign(encodePsbt(joint)))
    await expect(ask(api('alice').psbt.broadcast(bytes(byAlice.psbt)))).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
    })
    const byBoth = await ask(api('bob').psbt.sign(bytes(byAlice.psbt)))
    const txid = await ask(api('bob').psbt.broadcast(bytes(byBoth.psbt)))
    expect(inPool(txid)!.fee).toBe(hers.feeSat! + bobs.feeSat!)
    await world.mine(1)
  })

  it('that would leave less than the reserve for closing channels is not signed, one that brings money is', async () => {
    await begin()
    await world.open('alice', 'bob', 200_000)
    const { reservedSat } = await api('alice').wallet()
    expect(reservedSat).toBeGreaterThan(0n)
    const utxos = (await api('alice').utxos()).map((u) => u.outpoint)
    const own = (await ask(api('alice').newAddress())).address
    const outputs = [{ address: own, amountSat: sat(20_000n) }]
    const { psbt } = await ask(api('alice').psbt.create({ outputs, utxos, feerateSatPerVbyte: 1 }))
    /** As it might be made elsewhere: all our coins, of which the wallet gets back so much, and others the rest. */
    const givingBack = (backSat: bigint) =>
      edited(psbt, (p) => {
        const foreign = { amountSat: sat(330n), scriptPubKey: Uint8Array.of(0, 20, ...new Uint8Array(20)) }
        return { ...p, tx: { ...p.tx, outputs: [{ ...p.tx.outputs[0]!, amountSat: sat(backSat) }, foreign] } }
      })
    await expect(ask(api('alice').psbt.sign(givingBack(reservedSat - 1n)))).rejects.toMatchObject({
      code: 'INSUFFICIENT_BALANCE',
      message: expect.stringContaining(`${reservedSat} sat are kept back`),
    })
    for (const back of [reservedSat, await total('alice')]) {
      expect(await ask(api('alice').psbt.sign(givingBack(back)))).toMatchObject({ complete: false })
    }
  })

  it('that lies about an amount, asks for another sighash or spends a reserved or a foreign coin is not signed', async () => {
    await begin()
    const made = await create()
    const sign = (psbt: Uint8Array) => ask(api('alice').psbt.sign(psbt))
    const refused = (psbt: Uint8Array, why: RegExp) =>
      expect(sign(psbt)).rejects.toMatchObject({ code: 'VALIDATION_FAILED', message: expect.stringMatching(why) })
    const lie = edited(made.psbt, (p) => {
      const utxo = witnessUtxo(p.inputs[0]!)!
      const value = witnessUtxoValue({ ...utxo, amountSat: (utxo.amountSat - 1_000n) as never })
      return { ...p, inputs: [new Map([...p.inputs[0]!, [PSBT_IN.witnessUtxo, value]]), ...p.inputs.slice(1)] }
    })
    await refused(lie, /says something else/)
    const sighash = edited(made.psbt, (p) => ({
      ...p,
      inputs: p.inputs.map((map) => new Map([...map, [PSBT_IN.sighashType, Uint8Array.of(0x81, 0, 0, 0)]])),
    }))
    await refused(sighash, /SIGHASH_ALL/)
    await expect(ask(api('bob').psbt.sign(bytes(made.psbt)))).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
    await refused(Uint8Array.of(1, 2, 3), /PSBT|ends after/)

    await ask(api('alice').psbt.release(bytes(made.psbt)))
    expect((await api('alice').utxos()).some((u) => u.locked)).toBe(false)
    const { wallet, reactor } = world.of('alice').node!
    await reactor.run(() =>
      wallet.fund({
        outputs: decodePsbt(bytes(made.psbt)).tx.outputs,
        feeratePerKw: 1_000,
        owner: 'channel',
        coins: decodePsbt(bytes(made.psbt)).tx.inputs,
        anchorChannels: 0,
      }),
    )
    const locked = [...wallet.state.locks.keys()]
    const spends = decodePsbt(bytes(made.psbt)).tx.inputs.map(outpointKey)
    expect(locked.some((key) => spends.includes(key))).toBe(true)
    await refused(bytes(made.psbt), /locked by another/)
  })
})
