import { afterEach } from 'vitest'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { createApi } from '../../src/api/server.ts'
import { msat } from '../../src/base/units.ts'
import { World } from '../node/world.ts'

/** They end with the test that began them. */
const worlds: World[] = []
let runs = 0
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

/** Alice with a channel to Bob: real nodes, whose disks, network and chain are the test's. */
export async function aliceAndBob() {
  const world = await World.start(['alice', 'bob'])
  worlds.push(world)
  world.connectAll()
  await world.settle()
  await world.fund()
  await world.open('alice', 'bob', 500_000)
  return world
}

/** The API over Alice, as it starts on what her disk has. */
export async function apiOver(world: World) {
  const { api } = world.of('alice')
  const keys = await KeyRing.open(api.apiStore)
  const app = createApi(api, { keys })
  await app.ready()
  let calls = 0
  const run = ++runs
  const call = async (bearer: string, method: string, url: string, payload?: object) => {
    const headers = { authorization: `Bearer ${bearer}`, 'idempotency-key': `call-${++calls}-${run}` }
    const request = { method: method as 'GET', url, headers, ...(payload && { payload }) }
    const answer = await world.attempt(app.inject(request).then((a) => a))
    return answer!
  }
  return { keys, call }
}

/** A key that may do everything within a budget. */
export async function budgetedKey(world: World, maxMsat: number) {
  const { keys, call } = await apiOver(world)
  const admin = (await world.attempt(keys.create('admin', ['*'])))!
  const request = { name: 'b', scopes: ['*'], budget: { maxMsat } }
  const made = (await call(admin, 'POST', '/v1/keys', request)).json()
  const budget = async () => (await call(admin, 'GET', `/v1/keys/${made.id}`)).json().budget
  return { admin, id: made.id as string, secret: made.secret as string, call, budget }
}

/** An invoice of Bob. */
export const invoiceOf = async (world: World, amount: number) => {
  const invoice = await world.attempt(world.of('bob').api.createInvoice({ amountMsat: msat(amount), description: '' }))
  return invoice!.bolt11
}
