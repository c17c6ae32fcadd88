import { describe, expect, it } from 'vitest'
import { ApiError, ConnectionError } from '../../src/client/errors.ts'
import { onceKnown } from '../../src/dashboard/again.ts'

describe('a button that moves money, pressed again', () => {
  it('repeats the same call while nobody knows what became of it, and begins another for all else', async () => {
    const keys: (string | undefined)[] = []
    const unsure = new ConnectionError('no answer', { idempotencyKey: 'k' })
    const refused = new ApiError({ code: 'FUNDS', status: 422, detail: 'too much' } as never)
    const answers = [unsure, unsure, refused, refused, unsure, unsure, new ConnectionError('nobody there'), null]
    const press = onceKnown(async (_: { sat: number }, { idempotencyKey }) => {
      const answer = answers[keys.push(idempotencyKey) - 1]
      if (answer) throw answer
      return 'sent'
    })
    for (const sat of [5, 5, 5, 5, 5, 6, 6]) await expect(press({ sat })).rejects.toThrow()
    expect(await press({ sat: 6 })).toBe('sent')
    expect(keys).toEqual([undefined, 'k', 'k', undefined, undefined, undefined, 'k', undefined])
  })
})
