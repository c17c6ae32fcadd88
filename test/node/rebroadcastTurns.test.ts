import { expect, it } from 'vitest'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { rebroadcastWallet } from '../../src/node/rebroadcast.ts'
import { NOBODY, World } from './world.ts'

it('hands out again what was there in its turn, and not what a later one has made, which may not be on disk', async () => {
  const world = await World.start(['alice'])
  await world.fund()
  const node = world.of('alice').node!
  const handed: string[] = []
  const broadcast = node.source.broadcast.bind(node.source)
  node.source.broadcast = async (tx) => {
    handed.push(txidOf(tx))
    return broadcast(tx)
  }
  await Promise.all([
    node.reactor.run((scope) => rebroadcastWallet(node, scope)),
    node.reactor.run(() => {
      const outputs = [{ amountSat: 50_000n as never, scriptPubKey: NOBODY }]
      const { tx } = node.wallet.fund({ outputs, feeratePerKw: 1_000, owner: 'test', reserveSat: 0n as never })
      node.wallet.sent(tx, { label: 'test' })
    }),
  ])
  await world.settle()
  expect(handed).toEqual([])
  await node.reactor.run((scope) => rebroadcastWallet(node, scope))
  expect(handed).toHaveLength(1)
  world.close()
})
