import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EVENT_SCOPES } from '../../src/api/events.ts'
import { alertTitle, describeEvent, isActivity, isAlert } from '../../src/dashboard/eventText.ts'

const names = {
  nameOf: (id: string) => `<${id}>`,
  peerOf: (id: string) => `{${id}}`,
  invoiceOf: () => '',
  payeeOf: () => 'bob',
}
const at = '2026-01-01T00:00:00.000Z'
const event = (type: string, data: Record<string, unknown> = {}) => ({ id: 1, type, at, data })

describe('events in words', () => {
  it('each type of the API has its own', () => {
    const told = Object.keys(EVENT_SCOPES).map((type) => [type, describeEvent(event(type), names).title])
    expect(told.filter(([type, title]) => title === describeEvent(event(`new.${type}`), names).title)).toEqual([])
    expect(new Set(told.map(([, title]) => title)).size).toBe(told.length)
  })

  it('any data is told without an exception, and a new type by its name', () => {
    const type = fc.oneof(
      fc.constantFrom(...Object.keys(EVENT_SCOPES)),
      fc.string(),
      fc.constantFrom('constructor', '__proto__'),
    )
    fc.assert(
      fc.property(type, fc.dictionary(fc.string(), fc.jsonValue()), (t, data) => {
        const { title, detail, msat = 0 } = describeEvent(event(t, data), names)
        return typeof title === 'string' && typeof detail === 'string' && Number.isFinite(msat)
      }),
    )
    expect(describeEvent(event('moon.full'), names)).toMatchObject({ title: 'Moon full', icon: 'log' })
  })

  it('amounts have the sign of what they do to the balance', () => {
    const of = (type: string, data: Record<string, unknown>) => describeEvent(event(type, data), names).msat
    expect(of('payment.succeeded', { amountMsat: 5_000, feeMsat: 7 })).toBe(-5_007)
    expect(of('forward.settled', { amountOutMsat: 5_000, feeMsat: 7 })).toBe(7)
    expect(of('wallet.transaction', { netSat: -3, blockHeight: null })).toBe(-3_000)
    expect(of('payment.failed', { amountMsat: 5_000 })).toBeUndefined()
  })

  it('a payment of which nobody knows whether it was paid is not told as money that stayed', () => {
    const told = (failureCode: string): string =>
      describeEvent(event('payment.failed', { amountMsat: 5_000, failureCode }), names).detail
    expect(told('NO_ROUTE')).toMatch(/^to bob · 5 sat.* stayed here$/)
    expect(told('OUTCOME_UNKNOWN')).toMatch(/^to bob · 5 sat.* may be paid: ask the payee$/)
  })

  it('the title of an alert says whether what works for a time has ended', () => {
    const titles = (code: string) => (['warning', 'problem'] as const).map((severity) => alertTitle({ code, severity }))
    expect(titles('KEY_EXPIRING')).toEqual(['API key is about to end', 'API key has ended'])
    expect(titles('CERTIFICATE_EXPIRING')).toEqual(['The certificate is about to end', 'The certificate has ended'])
    expect(titles('DISK_LOW')).toEqual(['The disk is nearly full', 'The disk is nearly full'])
    const told = event('node.alert', { code: 'CERTIFICATE_EXPIRING', severity: 'problem', message: '' })
    expect(describeEvent(told, names).title).toBe('The certificate has ended')
  })

  it('an alert is one wherever it comes from', () => {
    const alert = event('node.alert', { code: 'NO_COINS_FOR_FEES', message: 'send some', peer: 'ab' })
    expect(describeEvent(alert, names)).toMatchObject({
      title: 'No coins for fees',
      detail: 'with <ab> · send some',
      tone: 'bad',
    })
    expect([alert, event('key.expiring'), event('chain.block')].map(isAlert)).toEqual([true, true, false])
    expect([alert, event('forward.settled'), event('peer.connected')].map(isActivity)).toEqual([true, true, false])
  })
})
