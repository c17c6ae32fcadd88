import type { App } from '../app.ts'
import { field, select } from '../dialog.ts'
import { type Child, h, put } from '../dom.ts'

/** What is asked of a list, by day and by key; empty: all of it. */
export interface ListFilter {
  readonly from?: string
  readonly to?: string
  readonly keyId?: string
}

export const isEmpty = (filter: ListFilter): boolean => Object.keys(filter).length === 0

/** Fields for a range of days, and for one of the keys where this session may see them. @param changed is told what is asked for now */
export function listFilter(
  { live }: App,
  signal: AbortSignal,
  changed: (filter: ListFilter) => void,
): readonly Child[] {
  const [from, to] = [h('input', { type: 'date' }), h('input', { type: 'date' })]
  const keyId = select([['', 'Any key']])
  const tell = (): void => {
    const given = { from: from.value, to: to.value, keyId: keyId.value }
    changed(Object.fromEntries(Object.entries(given).filter(([, text]) => text !== '')))
  }
  for (const control of [from, to, keyId]) control.addEventListener('change', tell)
  const seesKeys = live.can('keys:admin')
  if (seesKeys) {
    live.of.keys.watch(signal, () => {
      const chosen = keyId.value
      const options = (live.of.keys.value ?? []).map(({ id, name }) => h('option', { value: id }, `${name} (${id})`))
      put(keyId, h('option', { value: '' }, 'Any key'), options)
      keyId.value = chosen
    })
  }
  return [field('From', from), field('To', to), seesKeys && field('By', keyId)]
}
