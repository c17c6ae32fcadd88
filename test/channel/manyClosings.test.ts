import { expect, it } from 'vitest'
import { msat, type Sat } from '../../src/base/units.ts'
import { localMsat, remoteMsat } from '../../src/channel/totals.ts'
import { buildClosing } from '../../src/channel/tx/closing.ts'
import { fundingScript } from '../../src/channel/tx/scripts.ts'
import { faultsOf, reachNormal } from './harness.ts'

it('a peer that goes on with other fees by closing_signed has no more than 200 transactions signed, and the last that it agreed on stands', () => {
  const w = reachNormal({ pushMsat: msat(300_000_000) })
  w.alice.command({ tag: 'close', requestId: 5 })
  w.settle()
  const { bob } = w
  const phase = () => {
    if (bob.phase.tag !== 'negotiating') throw new Error(`bob is ${bob.phase.tag}`)
    return bob.phase
  }
  const { params, commitments } = bob.channel
  const [base] = commitments.active
  const { local: next } = commitments.next
  const signedAt = (feeSat: Sat): Uint8Array => {
    const built = buildClosing({
      funding: base!.funding,
      capacitySat: base!.capacitySat,
      fundingScript: fundingScript(params.local.basepoints.fundingPubkey, params.remote.basepoints.fundingPubkey),
      feeSat,
      local: { amountMsat: localMsat(base!, next), scriptPubKey: phase().localScript },
      remote: { amountMsat: remoteMsat(base!, next), scriptPubKey: phase().remoteScript },
      localIsOpener: params.isOpener,
      dustLimitSat: params.local.dustLimitSat,
    })
    return w.alice.ctx.signer.signFunding(built!.sighash)
  }
  for (let feeSat = 400n; feeSat < 700n; feeSat++) {
    const message = { type: 'closing_signed', channelId: params.channelId, feeSatoshis: feeSat as Sat } as const
    w.receive('bob', { ...message, signature: signedAt(feeSat as Sat) })
    if (!w.connected) break
  }
  const { published } = phase()
  expect([published.length, bob.channel.closings!.length].every((n) => n > 100 && n <= 200)).toBe(true)
  expect(faultsOf(bob)).toMatchObject([{ detail: expect.stringContaining('far too many'), response: 'warn-peer' }])
  w.connect()
  w.settle()
  expect(bob.broadcasts.length).toBeGreaterThan(0)
})
