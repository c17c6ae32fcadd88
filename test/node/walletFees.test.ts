import { describe, expect, it } from 'vitest'
import { sat } from '../../src/base/units.ts'
import { decodeTransaction, encodeTransaction, weightOf } from '../../src/bitcoin/transaction.ts'
import { api, ask, begin, bump, inPool, rate, sendToBob, total, world } from './walletCalls.ts'
import { nodeIdOf } from './world.ts'

/* The embedded chain is the judge: its mempool has the rules of BIP 125 and its interpreter checks every signature. */

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

  it('is not replaced while a transaction that is being made spends its change: a peer may have signed for that (replaced funding transaction)', async () => {
    await begin()
    const sent = await sendToBob(1)
    const alice = world.of('alice').node!
    const amountSat = sat((await total('alice')) - 30_000n)
    const outputs = [{ amountSat, scriptPubKey: inPool(sent.txid)!.tx.outputs[0]!.scriptPubKey }]
    const funding = await alice.reactor.run(() =>
      alice.wallet.fund({ outputs, feeratePerKw: 500, owner: 'channel:x', reserveSat: sat(0) }),
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

  it('helps a funding transaction, whose txid stays (no replaced funding transaction)', async () => {
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
