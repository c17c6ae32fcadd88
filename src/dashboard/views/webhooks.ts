import type { Webhook, WebhookDelivery } from '../../api/webhookSchemas.ts'
import { whole } from '../../client/index.ts'
import { announce, attempt } from '../announce.ts'
import type { App, Render } from '../app.ts'
import { confirmDialog, openDialog } from '../dialog.ts'
import { type Child, h, keyedList, put } from '../dom.ts'
import { grouped, sentence } from '../format.ts'
import { icon } from '../icons.ts'
import { button, chip, denied, empty, facts, idOf, problemBox, settle, timeOf, waiting } from '../parts.ts'
import { lookEvery, PagedResource, Resource } from '../resource.ts'
import { pagedList } from './payments.ts'
import { openCreateWebhook, openEditWebhook, openRotateSecret } from './webhookDialogs.ts'

/** No event tells of a delivery. */
const LOOK_MS = 5_000

const STATES = {
  active: ['Active', 'good'],
  retrying: ['Retrying', 'warn'],
  disabled: ['Off', 'plain'],
  failed: ['Given up', 'bad'],
  stopped: ['Stopped', 'bad'],
} as const satisfies Readonly<Record<Webhook['state'], readonly [string, string]>>

interface Shown {
  readonly hook: Webhook
  readonly last: WebhookDelivery | null
}

const nameOf = ({ name, url }: Webhook): string => name || new URL(url).host

/** `204 after 12 ms` */
const answerOf = ({ status, error, latencyMs }: WebhookDelivery): string =>
  `${status ?? (error === null ? 'no answer' : sentence(error))} after ${grouped(latencyMs)} ms`

const toneOf = ({ acknowledged }: WebhookDelivery): 'good' | 'bad' => (acknowledged ? 'good' : 'bad')

/** The webhooks and what this page does with them. */
class Hooks extends Resource<readonly Shown[]> {
  readonly #client: App['live']['client']
  /** The last delivery of each, and the webhook as it was then: it is read again once something has changed. */
  readonly #last = new Map<string, { mark: string; delivery: WebhookDelivery | null }>()
  /** How often this page changed each, which the webhook itself need not show. */
  readonly #changes = new Map<string, number>()

  constructor({ live: { client } }: App) {
    super(async () => {
      const hooks = await whole<Webhook>(client.webhooks.list)
      return Promise.all(hooks.map(async (hook) => ({ hook, last: await this.#lastOf(hook) })))
    })
    this.#client = client
  }

  async #lastOf({ id, state, lastEventId, failing }: Webhook): Promise<WebhookDelivery | null> {
    const mark = [state, lastEventId, failing?.attempts, this.#changes.get(id)].join(' ')
    const known = this.#last.get(id)
    if (known?.mark === mark) return known.delivery
    const delivery = (await this.#client.webhooks.deliveries(id, { limit: 1 })).items[0] ?? null
    this.#last.set(id, { mark, delivery })
    return delivery
  }

  changed(id: string): void {
    this.#changes.set(id, (this.#changes.get(id) ?? 0) + 1)
    this.hurry()
  }

  /** Posts something now, and tells what the receiver answered. */
  readonly post = (hook: Webhook, what: string, run: () => Promise<WebhookDelivery>): Promise<void> =>
    attempt(async () => {
      const delivery = await run()
      this.changed(hook.id)
      const tone = toneOf(delivery)
      announce(`${what} of ${nameOf(hook)}: ${answerOf(delivery)}`, { toast: true, tone })
    })
}

// ------------------------------------------------------------------ deliveries

function openDeliveries(app: App, hooks: Hooks, hook: Webhook): void {
  const { webhooks } = app.live.client
  const dialog = openDialog()
  const deliveries = new PagedResource<WebhookDelivery>(
    (query) => webhooks.deliveries(hook.id, query),
    ({ seq }) => String(seq),
  )
  const again = ({ seq }: WebhookDelivery): Promise<void> =>
    hooks.post(hook, 'Delivery', async () => {
      const delivery = await webhooks.redeliver(hook.id, seq)
      deliveries.hurry()
      return delivery
    })
  const row = (delivery: WebhookDelivery): HTMLLIElement =>
    h('li', { class: 'row delivery' }, [
      h('span', { class: `badge ${toneOf(delivery)}` }, icon(delivery.acknowledged ? 'check' : 'alert')),
      h('div', { class: 'main' }, [
        h('strong', {}, sentence(delivery.type)),
        h('p', { class: 'detail' }, [
          answerOf(delivery),
          delivery.attempt > 1 && `, attempt ${grouped(delivery.attempt)}`,
          ', ',
          timeOf(delivery.at),
        ]),
      ]),
      button('', () => void again(delivery), {
        icon: 'refresh',
        kind: 'quiet',
        label: delivery.eventId === null ? 'A ping cannot be sent again' : `Send delivery ${delivery.seq} again`,
        title: 'Send again',
        disabled: delivery.eventId === null,
      }),
    ])
  const none = 'Nothing was posted yet. Send a ping, or wait for an event.'
  const list = pagedList(deliveries, dialog.signal, { key: ({ seq }) => String(seq), row, none })
  dialog.show(`Deliveries of ${nameOf(hook)}`, list)
  lookEvery(deliveries, LOOK_MS, dialog.signal)
}

// ------------------------------------------------------------------ cards

function lastOf({ hook, last }: Shown): Child {
  if (last === null) return h('p', { class: 'detail' }, 'Nothing was posted yet.')
  const { failing } = hook
  return [
    h('p', { class: 'detail' }, [
      chip(last.acknowledged ? 'Delivered' : 'Refused', toneOf(last)),
      ` ${sentence(last.type)}, ${answerOf(last)}, `,
      timeOf(last.at),
    ]),
    failing &&
      h('p', { class: 'waits' }, [
        `${grouped(failing.attempts)} attempt${failing.attempts === 1 ? '' : 's'}, the first `,
        timeOf(failing.since),
        failing.nextAttemptAt !== null && [', the next ', timeOf(failing.nextAttemptAt)],
        failing.reason !== null && `: ${failing.reason}`,
      ]),
  ]
}

function actions(app: App, hooks: Hooks, hook: Webhook): Child {
  const { webhooks } = app.live.client
  const name = nameOf(hook)
  const turn = (enabled: boolean): Promise<void> =>
    attempt(async () => {
      await webhooks.update(hook.id, { enabled })
      hooks.changed(hook.id)
      announce(`${name} is ${enabled ? 'on' : 'off'}`, { toast: true })
    })
  const remove = (): void =>
    confirmDialog(
      `Delete ${name}?`,
      {
        act: 'Delete',
        run: async () => {
          await webhooks.delete(hook.id)
          hooks.changed(hook.id)
          announce(`${name} is deleted`, { toast: true })
        },
      },
      h('p', {}, 'Nothing more is posted to it. Its secret and its list of deliveries go too.'),
    )
  const quiet = (text: string, onclick: () => void) =>
    button(text, onclick, { kind: 'quiet', label: `${text}: ${name}` })
  const isOff = hook.state === 'disabled'
  return h('div', { class: 'actions' }, [
    quiet('Deliveries', () => openDeliveries(app, hooks, hook)),
    quiet('Edit', () => openEditWebhook(app, hook, () => hooks.changed(hook.id))),
    quiet('Ping', () => void hooks.post(hook, 'Ping', () => webhooks.ping(hook.id))),
    quiet('Rotate secret', () => openRotateSecret(app, hook, () => hooks.changed(hook.id))),
    (isOff || hook.state === 'failed') && quiet(isOff ? 'Turn on' : 'Begin anew', () => void turn(true)),
    !isOff && quiet('Turn off', () => void turn(false)),
    quiet('Delete', remove),
  ])
}

function card(app: App, hooks: Hooks, { hook, last }: Shown): HTMLLIElement {
  const [words, tone] = STATES[hook.state]
  return h('li', { class: 'card keycard' }, [
    h('header', {}, h('h2', {}, nameOf(hook)), chip(words, tone)),
    h('p', { class: 'detail whole' }, hook.url),
    h(
      'ul',
      { class: 'scopes', 'aria-label': 'Events' },
      (hook.types ?? ['everything its key may see']).map((type) => h('li', {}, h('code', {}, type))),
    ),
    lastOf({ hook, last }),
    hook.state === 'stopped' && h('p', { class: 'waits' }, 'The key that made it works no more.'),
    facts(
      ['Id', idOf(hook.id, 'Webhook id')],
      hook.keyId !== app.live.key.id && ['Made by key', h('code', {}, hook.keyId)],
      ['Made', timeOf(hook.createdAt)],
      hook.overlapUntil !== null && ['The old secret signs too until', timeOf(hook.overlapUntil)],
    ),
    actions(app, hooks, hook),
  ])
}

export const render: Render = (app, signal) => {
  const { live } = app
  if (!live.can('webhooks:write')) {
    return h('section', { class: 'card', 'aria-label': 'Webhooks' }, denied('webhooks:write'))
  }
  const hooks = new Hooks(app)
  const list = h('ul', { class: 'cards' })
  const below = waiting()
  const show = keyedList<Shown>(list, { key: ({ hook }) => hook.id, render: (item) => card(app, hooks, item) })
  hooks.watch(signal, () => {
    settle(below)
    const { value = [], error } = hooks
    show(value)
    const none = 'No webhooks yet. The node can post events, signed, to an address of yours.'
    put(below, error !== undefined ? problemBox(error) : value.length === 0 && h('div', { class: 'card' }, empty(none)))
  })
  lookEvery(hooks, LOOK_MS, signal)
  const create = (): void => openCreateWebhook(app, () => hooks.hurry())
  return [
    h('div', { class: 'quick' }, button('Create webhook', create, { icon: 'plus', kind: 'primary' })),
    list,
    below,
  ]
}
