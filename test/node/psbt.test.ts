import { describe, expect, it, vi } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { outpointKey } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { decodePsbt, encodePsbt, PSBT_IN, type Psbt, witnessUtxo, witnessUtxoValue } from '../../src/bitcoin/psbt.ts'
import { encodeTransaction } from '../../src/bitcoin/transaction.ts'
import { ChainError } from '../../src/chain/errors.ts'
import { api, ask, begin, bump, inPool, sendToBob, total, world } from './walletCalls.ts'

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
        reserveSat: sat(0),
      }),
    )
    const locked = [...wallet.state.locks.keys()]
    const spends = decodePsbt(bytes(made.psbt)).tx.inputs.map(outpointKey)
    expect(locked.some((key) => spends.includes(key))).toBe(true)
    await refused(bytes(made.psbt), /locked by another/)
  })
})
