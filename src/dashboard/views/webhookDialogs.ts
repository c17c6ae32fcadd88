import type { IssuedWebhook, Webhook } from '../../api/webhookSchemas.ts'
import type { App } from '../app.ts'
import { actionForm, checkbox, field, openDialog, select } from '../dialog.ts'
import { type Child, h } from '../dom.ts'
import { GRACES, showSecret } from './keyDialogs.ts'

/** What the node tells of, by the first word of its types. */
const KINDS = [
  ['invoice.*', 'Invoices'],
  ['payment.*', 'Payments'],
  ['forward.*', 'Forwards'],
  ['channel.*', 'Channels'],
  ['peer.*', 'Peers'],
  ['chain.*', 'Blocks'],
  ['wallet.*', 'Wallet'],
  ['key.*', 'Keys'],
  ['node.*', 'Alerts'],
] as const

const secretOf = ({ name, url, secret }: IssuedWebhook, note: string): Promise<void> =>
  showSecret(`Secret of ${name || new URL(url).host}`, secret, note, {
    what: 'Secret',
    once: 'the node signs with it and does not tell it again',
  })

interface WebhookFields {
  readonly element: Child
  /** @throws RangeError that says what is missing */
  wishes(): { readonly url: string; readonly name: string; readonly types: string[] | null }
}

/** What somebody decides about a webhook. @param hook as it is; absent: a new one */
function webhookFields(hook?: Webhook): WebhookFields {
  const url = h('input', { type: 'url', autocomplete: 'off', spellcheck: false, value: hook?.url })
  const name = h('input', { type: 'text', maxlength: 100, autocomplete: 'off', value: hook?.name })
  const asked = hook?.types ?? []
  // Types that programs ask for one by one stay, unless somebody takes them away.
  const others = asked.filter((type) => KINDS.every(([kind]) => kind !== type))
  const kinds = [...KINDS, ...others.map((type) => [type, h('code', {}, type)] as const)].map(([type, title]) => ({
    type,
    ...checkbox(title, asked.includes(type)),
  }))
  return {
    element: [
      field('Address', url, { hint: 'A public https address, or one that the operator of the node allows.' }),
      field('Name', name),
      h('fieldset', {}, [
        h('legend', {}, 'Events'),
        h(
          'div',
          { class: 'checks' },
          kinds.map(({ element }) => element),
        ),
        h('p', { class: 'hint' }, 'With none of them ticked: everything that the key of the webhook may see.'),
      ]),
    ],
    wishes: () => {
      if (url.value.trim() === '') throw new RangeError('Enter the address that events are posted to.')
      const types = kinds.filter(({ input }) => input.checked).map(({ type }) => type)
      return { url: url.value.trim(), name: name.value.trim(), types: types.length === 0 ? null : types }
    },
  }
}

export function openCreateWebhook({ live }: App, made: () => void): void {
  const dialog = openDialog()
  const { element, wishes } = webhookFields()
  const run = async (): Promise<void> => {
    const issued = await live.client.webhooks.create(wishes())
    made()
    dialog.close()
    await secretOf(issued, 'Your receiver checks signatures with it, so that it takes nothing from others.')
  }
  dialog.show('Create a webhook', actionForm({ act: 'Create webhook', run, cancel: dialog.close }, element))
}

export function openEditWebhook({ live }: App, hook: Webhook, changed: () => void): void {
  const dialog = openDialog()
  const { element, wishes } = webhookFields(hook)
  const run = async (): Promise<void> => {
    const { url, ...rest } = wishes()
    // The same address again would be looked up again, and may not be reachable just now.
    await live.client.webhooks.update(hook.id, url === hook.url ? rest : { url, ...rest })
    changed()
    dialog.close()
  }
  const note =
    'Another address, or other events, count from now on; the secret stays. What is waiting goes to the new address.'
  dialog.show(
    `Edit ${hook.name || new URL(hook.url).host}`,
    actionForm({ act: 'Save', run, cancel: dialog.close }, element, h('p', { class: 'hint' }, note)),
  )
}

export function openRotateSecret({ live }: App, hook: Webhook, rotated: () => void): void {
  const dialog = openDialog()
  const grace = select(GRACES, '86400')
  const run = async (): Promise<void> => {
    const issued = await live.client.webhooks.rotate(hook.id, Number(grace.value))
    rotated()
    dialog.close()
    await secretOf(issued, 'Give it to the receiver before the old one ends.')
  }
  dialog.show(
    `Rotate the secret of ${hook.name || new URL(hook.url).host}`,
    actionForm({ act: 'Rotate', run, cancel: dialog.close }, [
      h(
        'p',
        {},
        'Each message is signed with both until the old one ends, so that the receiver can change at any time.',
      ),
      field('The old secret ends', grace),
    ]),
  )
}
