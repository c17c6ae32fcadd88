import type { App } from '../app.ts'
import { field } from '../dialog.ts'
import { h } from '../dom.ts'
import { grouped } from '../format.ts'

/** How much to pay for an on-chain transaction: the node decides unless something is entered. */
export function feerateField(
  app: App,
  placeholder = 'As the node estimates',
): {
  readonly element: HTMLElement
  /** @throws RangeError */
  value(): { feerateSatPerVbyte?: number }
} {
  const { live } = app
  const input = h('input', { type: 'number', min: 1, step: 'any', placeholder })
  const hint = h('span', {})
  const ending = new AbortController()
  if (live.can('chain:read')) {
    live.of.fees.watch(ending.signal, () => {
      const texts = live.of.fees.value?.map(
        ({ targetBlocks, feerateSatPerVbyte }) =>
          `${Math.round(feerateSatPerVbyte * 10) / 10} within ${grouped(targetBlocks)} blocks`,
      )
      hint.textContent = texts?.length ? `Estimates: ${texts.slice(0, 3).join(', ')}.` : ''
      ending.abort()
    })
  }
  return {
    element: field('Fee rate', input, { unit: 'sat/vB', hint }),
    value() {
      if (input.value.trim() === '') return {}
      const rate = Number(input.value)
      if (!(rate >= 1)) throw new RangeError('Fee rate: enter at least 1 sat/vB, or leave it to the node.')
      return { feerateSatPerVbyte: rate }
    },
  }
}
