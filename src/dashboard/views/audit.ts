import type { AuditEntry } from '../../api/keySchemas.ts'
import type { App, Render } from '../app.ts'
import { h, keyedList, put } from '../dom.ts'
import { grouped, sentence, wordsOf } from '../format.ts'
import { button, denied, empty, idOf, problemBox, section, timeOf } from '../parts.ts'
import { isEmpty, type ListFilter, listFilter } from './listFilter.ts'

function rowOf({ seq, at, action, keyId, version, address, target, detail }: AuditEntry): HTMLLIElement {
  const key = keyId === null ? null : `key ${keyId}${version === null ? '' : ` v${version}`}`
  const by = [key, address && `from ${address}`].filter(Boolean).join(' ')
  return h('li', { class: 'row entry' }, [
    h('span', { class: 'number' }, grouped(seq)),
    h('div', { class: 'main' }, [
      h('p', {}, h('strong', {}, sentence(action)), target !== null && [' ', h('code', {}, target)]),
      h('p', { class: 'detail' }, [by, wordsOf(detail)].filter(Boolean).join(' · ')),
    ]),
    h('div', { class: 'side' }, timeOf(at)),
  ])
}

const NOTHING_SUCH = 'Nothing of this kind then.'

export const render: Render = (app: App, signal) => {
  const { live } = app
  if (!live.can('audit:read')) return h('section', { class: 'card', 'aria-label': 'Audit' }, denied('audit:read'))
  const list = h('ul', { class: 'rows' })
  const show = keyedList<AuditEntry>(list, { key: ({ seq }) => String(seq), render: rowOf })
  const below = h('div', { class: 'below loading', 'aria-busy': 'true' })
  const head = h('p', { class: 'detail' })
  let items: readonly AuditEntry[] = []
  let filter: ListFilter = {}
  const load = async (cursor?: string): Promise<void> => {
    const asked = filter
    try {
      const page = await live.client.audit({ limit: 100, ...asked, ...(cursor !== undefined && { cursor }) })
      if (signal.aborted || asked !== filter) return
      items = cursor === undefined ? page.items : [...items, ...page.items]
      show(items)
      const more = page.nextCursor !== null && button('Show more', () => void load(page.nextCursor ?? undefined))
      put(below, items.length === 0 && empty(isEmpty(filter) ? 'Nothing yet.' : NOTHING_SUCH), more)
      put(head, 'Each entry holds the hash of the one before. Head: ', idOf(page.head.hash, 'Hash of the newest entry'))
    } catch (error) {
      put(below, problemBox(error))
    }
    below.className = 'below'
    below.removeAttribute('aria-busy')
  }
  void load()
  const refresh = button('', () => void load(), { icon: 'refresh', kind: 'quiet', label: 'Load the audit log again' })
  const choices = listFilter(app, signal, (chosen) => {
    filter = chosen
    void load()
  })
  const actions = h('div', { class: 'filter' }, choices, refresh)
  return section('Changes and refused calls', { actions }, head, list, below)
}
