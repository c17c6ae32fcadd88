import { expect, it } from 'vitest'
import { isChosen } from '../../src/node/assembly.ts'
import { nodeIdOf, World } from './world.ts'

it('a peer is chosen with an open channel or an address that the operator gave, and no longer when its channel is closed', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  const [bob, alice] = [world.of('bob').node!, nodeIdOf('alice')]
  expect(isChosen(bob, alice)).toBe(false)
  const { id } = await world.open('alice', 'bob', 1_000_000, 400_000)
  expect(isChosen(bob, alice)).toBe(true)
  await world.attempt(world.of('alice').api.closeChannel(id, {}))
  await world.settle()
  await world.mine(6)
  expect(bob.channels.ofPeer(alice).map(({ state }) => state.tag)).toEqual(['closed'])
  expect(isChosen(bob, alice)).toBe(false)
  await bob.reactor.run((scope) => bob.peers.remember({ nodeId: alice, host: '127.0.0.1', port: 1 }, scope))
  expect(isChosen(bob, alice)).toBe(true)
  world.close()
}, 30_000)

it('an address that was never tried takes the place of none to which the connection was made: channels would wait for it', async () => {
  const world = await World.start(['alice', 'bob'])
  const [alice, bob] = [world.of('alice'), nodeIdOf('bob')]
  const known = { nodeId: bob, host: 'wire', port: 1 }
  const connect = (host: string, port: number) => world.attempt(alice.api.connectPeer({ nodeId: bob, host, port }))
  await connect('192.0.2.1', 9735) // nothing better is known
  expect(alice.node!.peers.address(bob)).toMatchObject({ host: '192.0.2.1' })
  await connect(known.host, known.port)
  expect(await connect('192.0.2.7', 9735)).toMatchObject({ address: 'wire:1', connected: true })
  expect(alice.node!.peers.address(bob)).toEqual(known)
  await world.restart('alice')
  expect(world.of('alice').node!.peers.address(bob)).toEqual(known)
  world.close()
}, 30_000)
