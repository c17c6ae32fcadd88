import fc from 'fast-check'
import { expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { ChannelId } from '../../src/base/ids.ts'
import { errorMessage, faultText, refuse, warningMessage } from '../../src/channel/faults.ts'
import { warningOf } from '../../src/peer/session.ts'

const id = toHex(new Uint8Array(32)) as ChannelId
const said = (text: string): readonly Uint8Array[] =>
  [errorMessage(id, text), warningMessage(id, text)]
    .map((e) => (e as { message: { data: Uint8Array } }).message.data)
    .concat(warningOf(text).data)

it('BOLT 1 §the-error-and-warning-messages: what we say is printable ASCII, which is all that others show', () => {
  const fault = refuse('PROTOCOL_VIOLATION', 'BOLT 2 §closing-negotiation: the peer’s fee', '“5 sat” – not 6').error
  const words = `BOLT 2 closing-negotiation: the peer's fee; "5 sat" - not 6`
  for (const data of said(faultText(fault))) expect(Buffer.from(data).toString('latin1')).toBe(words)
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      for (const data of said(text)) expect(data.every((b) => b >= 32 && b <= 126)).toBe(true)
    }),
  )
})
