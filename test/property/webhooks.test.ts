import type { ServerResponse } from 'node:http'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { createApi } from '../../src/api/server.ts'
import { FakeNode } from '../api/fakeNode.ts'
import { Receiver } from '../api/receiver.ts'

const HOUR_MS = 3_600_000

/** What can befall a webhook; `crash` goes back to what was on disk some steps ago, as if nothing had been written since. */
type Step =
  | { readonly do: 'emit'; readonly type: string; readonly count: number }
  | { readonly do: 'answer'; readonly answer: number | 'cut' | 'half' }
  | { readonly do: 'restart' | 'crash' | 'save' | 'later' | 'off' | 'on' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('emit' as const),
      type: fc.constantFrom('payment.succeeded', 'chain.block'),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      answer: fc.constantFrom(204, 200, 500, 301, 'cut' as const, 'half' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'restart' as const,
        'crash' as const,
        'save' as const,
        'later' as const,
        'off' as const,
        'on' as const,
      ),
    }),
  },
)

const byHand: Record<'cut' | 'half', (response: ServerResponse) => void> = {
  cut: (response) => response.destroy(),
  half: (response) => void response.writeHead(204).flushHeaders(), // acknowledged, and never ended
}

/** A node, its disk, a receiver, and one webhook that wants payments. */
class Life {
  readonly node = new FakeNode()
  #nowMs = Date.UTC(2026, 0, 1)
  #saved = new Map<string, Uint8Array>()
  #app: ReturnType<typeof createApi> | undefined
  readonly #receiver: Receiver
  #bearer = ''
  #path = ''
  readonly failures: unknown[] = []

  constructor(receiver: Receiver) {
    this.#receiver = receiver
  }

  async begin(): Promise<void> {
    const keys = await this.#start()
    this.#bearer = await keys.create('k', ['*'])
    const made = await this.#call('POST', '/v1/webhooks', { url: this.#receiver.url, types: ['payment.*'] })
    this.#path = `/v1/webhooks/${made.id}`
    this.#save()
  }

  async #start(): Promise<KeyRing> {
    const keys = await KeyRing.open(this.node.apiStore, () => this.#nowMs)
    const webhooks = { targets: ['127.0.0.0/8'], timeoutMs: 100, tickMs: 2 }
    this.#app = createApi(this.node, { keys, webhooks, onInternalError: (error) => this.failures.push(error) })
    await this.#app.ready()
    return keys
  }

  async #call(method: 'GET' | 'POST' | 'PATCH', url: string, payload?: object) {
    const headers = { authorization: `Bearer ${this.#bearer}` }
    return (await this.#app!.inject({ method, url, headers, ...(payload && { payload }) })).json()
  }

  #save(): void {
    this.#saved = new Map(this.node.apiStore.records)
  }

  async run(one: Step): Promise<void> {
    switch (one.do) {
      case 'emit':
        for (let i = 0; i < one.count; i++) this.node.emit(one.type)
        return
      case 'answer':
        this.#receiver.answer = typeof one.answer === 'number' ? one.answer : byHand[one.answer]
        return
      case 'later':
        this.#nowMs += HOUR_MS
        return
      case 'save':
        return this.#save()
      case 'on':
      case 'off':
        return void (await this.#call('PATCH', this.#path, { enabled: one.do === 'on' }))
      case 'restart':
        await this.#app!.close()
        return void (await this.#start())
      case 'crash':
        await this.#app!.close()
        this.node.apiStore.records.clear()
        for (const [key, value] of this.#saved) this.node.apiStore.records.set(key, value)
        return void (await this.#start())
    }
  }

  /** Everything works again: what is owed comes. */
  async end(): Promise<void> {
    this.#receiver.answer = 204
    await this.run({ do: 'on' })
    const last = this.node.events.length
    const where = async () => {
      this.#nowMs += HOUR_MS // an attempt that was under way may still fail
      return (await this.#call('GET', this.#path)).lastEventId
    }
    await expect.poll(where, { timeout: 10_000, interval: 2 }).toBe(last)
    await this.#app!.close()
  }
}

describe('webhooks through outages, restarts and crashes', () => {
  it('every event that is wanted is acknowledged, in order; what comes again is what was forgotten or not acknowledged', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 25 }), async (steps) => {
        const receiver = await Receiver.open()
        const life = new Life(receiver)
        await life.begin()
        for (const one of steps) {
          await life.run(one)
          await new Promise((resolve) => setTimeout(resolve, 1)) // requests go out beside the steps
        }
        await life.end()
        await receiver.close()
        const wanted = life.node.events.filter(({ type }) => type.startsWith('payment')).map(({ id }) => id)
        const came = receiver.ids as number[]
        expect([...new Set(came)]).toEqual(wanted) // all, and first seen in order
        const mayGoBack = steps.some((one) => one.do === 'crash')
        // Without a crash no event comes after a later one: a repetition is of the one that was last.
        if (!mayGoBack) expect(came).toEqual([...came].sort((a, b) => a - b))
        expect(life.failures).toEqual([])
      }),
      { numRuns: 12 },
    )
  })
})
