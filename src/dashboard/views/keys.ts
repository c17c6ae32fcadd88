import type { Key, KeyUsage } from '../../api/keySchemas.ts'
import { announce } from '../announce.ts'
import type { App, Render } from '../app.ts'
import { confirmDialog } from '../dialog.ts'
import { type Child, h, keyedList, put } from '../dom.ts'
import { duration, grouped, satText } from '../format.ts'
import { bar, button, chip, denied, facts, idOf, problemBox, table, timeOf } from '../parts.ts'
import { lookEvery } from '../resource.ts'
import { openCreateKey, openRotate } from './keyDialogs.ts'

const LOOK_MS = 5_000

const TONES = {
  active: 'good',
  pending: 'warn',
  grace: 'warn',
  expired: 'bad',
  stopped: 'bad',
  revoked: 'bad',
} as const

const never = (iso: string | null): Child => (iso === null ? 'never' : timeOf(iso))

/** The share of a budget that is spent or reserved. */
function budgetOf({ maxMsat, spentMsat, reservedMsat, periodSeconds, resetsAt }: NonNullable<Key['budget']>): Child {
  const used = spentMsat + reservedMsat
  const label = `${satText(used)} of ${satText(maxMsat)} spent`
  return h('div', { class: 'budget' }, [
    h('span', { class: 'detail' }, [
      `${label}${periodSeconds === null ? '' : `, every ${duration(periodSeconds)}`}`,
      resetsAt !== null && [', starts anew ', timeOf(resetsAt)],
    ]),
    bar(
      [
        { value: used, kind: 'local' },
        { value: Math.max(0, maxMsat - used), kind: 'rest' },
      ],
      label,
    ),
  ])
}

function usageOf(app: App, key: Key): HTMLDetailsElement {
  const place = h('div', { class: 'loading' })
  const show = (usage: KeyUsage): void => {
    place.className = ''
    put(place, [
      h('p', { class: 'detail' }, `${grouped(usage.requests)} requests, ${grouped(usage.refused)} refused`),
      table(
        `Versions of ${key.name}`,
        ['Version', 'State', 'Requests', 'Last used', 'From', 'Ends'],
        key.versions.toReversed().map((version) => {
          const used = usage.versions.find((v) => v.version === version.version)
          return [
            `v${version.version}`,
            chip(version.state, TONES[version.state]),
            grouped(used?.requests ?? 0),
            never(used?.lastUsedAt ?? null),
            used?.lastAddress ?? '',
            never(version.expiresAt),
          ]
        }),
      ),
    ])
  }
  const load = async (): Promise<void> => {
    if (!details.open) return
    const known = app.live.usage.get(key.id)
    if (known) show(known)
    try {
      const usage = await app.live.client.keys.usage(key.id)
      app.live.usage.set(key.id, usage)
      show(usage)
    } catch (error) {
      put(place, problemBox(error))
    }
  }
  const details = h('details', { ontoggle: () => void load() }, h('summary', {}, 'Versions and usage'), place)
  return details
}

function changeButtons(app: App, key: Key): Child {
  const { live } = app
  const { id, name, versions } = key
  const isSelf = id === live.key.id
  const touched = (): void => live.of.keys.hurry()
  const before = versions.findLast((v) => v.version !== key.version && v.state === 'grace')
  const rollback = (): void =>
    confirmDialog(
      `Roll ${name} back?`,
      {
        act: 'Roll back',
        run: async () => {
          await live.client.keys.rollback(id)
          touched()
          announce(`${name} is at version ${before?.version} again`, { toast: true })
        },
      },
      h(
        'p',
        {},
        `Version ${before?.version} is the current one again, without an end. Version ${key.version} works on until its window closes. Use it when a client could not take the new version.`,
      ),
    )
  const revoke = (): void =>
    confirmDialog(
      `Revoke ${name}?`,
      {
        act: 'Revoke',
        run: async () => {
          await live.client.keys.revoke(id)
          touched()
          announce(`${name} is revoked`, { toast: true })
        },
      },
      h('p', {}, 'It stops at once, its open streams too, and cannot be brought back.'),
      isSelf && h('p', {}, h('strong', {}, 'You are signed in with this key: this ends your session.')),
    )
  return h('div', { class: 'actions' }, [
    button('Rotate', () => openRotate(app, key), { kind: 'quiet', label: `Rotate ${name}` }),
    before && button('Roll back', rollback, { kind: 'quiet', label: `Roll back ${name}` }),
    button('Revoke', revoke, { kind: 'quiet', label: `Revoke ${name}` }),
  ])
}

function keyCard(app: App, key: Key): HTMLLIElement {
  // One that has expired is rotated for clients that missed its end, or revoked.
  const isOver = key.state === 'revoked' || key.state === 'stopped'
  return h('li', { class: 'card keycard' }, [
    h(
      'header',
      {},
      h('h2', {}, key.name),
      key.id === app.live.key.id && chip('this session'),
      chip(key.state, TONES[key.state]),
    ),
    h('p', { class: 'detail' }, [
      `Version ${key.version}, `,
      key.lastUsedAt === null ? 'never used' : ['used ', timeOf(key.lastUsedAt)],
      key.expiresAt !== null && [', ends ', timeOf(key.expiresAt)],
    ]),
    h(
      'ul',
      { class: 'scopes', 'aria-label': 'Scopes' },
      key.scopes.map((scope) => h('li', {}, h('code', {}, scope === '*' ? 'everything' : scope))),
    ),
    key.budget && budgetOf(key.budget),
    facts(
      ['Id', idOf(key.id, 'Key id')],
      key.rotateBy !== null && ['Rotate by', timeOf(key.rotateBy)],
      key.allowedCidrs.length > 0 && ['Only from', key.allowedCidrs.join(', ')],
      key.rateLimit !== null && [
        'At most',
        `${grouped(key.rateLimit.maxRequests)} requests in ${duration(key.rateLimit.periodSeconds)}`,
      ],
    ),
    usageOf(app, key),
    !isOver && changeButtons(app, key),
  ])
}

function emergency(app: App): void {
  confirmDialog(
    'Stop every other key?',
    {
      act: 'Stop them all',
      run: async () => {
        const issued = await app.live.client.keys.rotateAll()
        app.live.of.keys.hurry()
        announce(`${issued.stopped.length} keys stopped`, { toast: true })
      },
    },
    h(
      'p',
      {},
      'Every key but yours stops at once, and yours gets a new version. For when you do not know which key is in wrong hands.',
    ),
  )
}

export const render: Render = (app, signal) => {
  const { live } = app
  if (!live.can('keys:admin')) return h('section', { class: 'card', 'aria-label': 'Keys' }, denied('keys:admin'))
  const list = h('ul', { class: 'cards' })
  const over = h('ul', { class: 'cards' })
  const past = h('details', { class: 'past' }, h('summary', {}, 'Revoked keys'), over)
  const problem = h('div', {})
  const options = { key: (key: Key) => key.id, render: (key: Key) => keyCard(app, key) }
  const [showLiving, showPast] = [keyedList(list, options), keyedList(over, options)]
  // No event tells that one has expired.
  lookEvery(live.of.keys, LOOK_MS, signal)
  live.of.keys.watch(signal, () => {
    const { value, error } = live.of.keys
    put(problem, error !== undefined && problemBox(error))
    const revoked = (value ?? []).filter(({ state }) => state === 'revoked')
    showLiving((value ?? []).filter(({ state }) => state !== 'revoked'))
    showPast(revoked)
    past.hidden = revoked.length === 0
  })
  return [
    h('div', { class: 'quick' }, [
      button('Emergency stop', () => emergency(app), { icon: 'alert', kind: 'caution' }),
      button('Create key', () => openCreateKey(app), { icon: 'plus', kind: 'primary' }),
    ]),
    problem,
    list,
    past,
  ]
}
