import type { IssuedWebhook, Webhook } from '../../api/webhookSchemas.ts'
import type { App } from '../app.ts'
import { actionForm, checkbox, field, openDialog, select } from '../dialog.ts'
import { h } from '../dom.ts'
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
  ['node.alert', 'Alerts'],
] as const

const secretOf = ({ name, url, secret }: IssuedWebhook, note: string): Promise<void> =>
  showSecret(`Secret of ${name || new URL(url).host}`, secret, note, {
    what: 'Secret',
    once: 'the node signs with it and does not tell it again',
  })

export function openCreateWebhook({ live }: App, made: () => void): void {
  const dialog = openDialog()
  const url = h('input', { type: 'url', autocomplete: 'off', spellcheck: false })
  const name = h('input', { type: 'text', maxlength: 100, autocomplete: 'off' })
  const kinds = KINDS.map(([type, title]) => ({ type, ...checkbox(title) }))
  const run = async (): Promise<void> => {
    if (url.value.trim() === '') throw new RangeError('Enter the address that events are posted to.')
    const types = kinds.filter(({ input }) => input.checked).map(({ type }) => type)
    const issued = await live.client.webhooks.create({
      url: url.value.trim(),
      name: name.value.trim(),
      types: types.length === 0 ? null : types,
    })
    made()
    dialog.close()
    await secretOf(issued, 'Your receiver checks signatures with it, so that it takes nothing from others.')
  }
  dialog.show(
    'Create a webhook',
    actionForm({ act: 'Create webhook', run, cancel: dialog.close }, [
      field('Address', url, { hint: 'A public https address, or one that the operator of the node allows.' }),
      field('Name', name),
      h('fieldset', {}, [
        h('legend', {}, 'Events'),
        h(
          'div',
          { class: 'checks' },
          kinds.map(({ element }) => element),
        ),
        h('p', { class: 'hint' }, 'With none of them ticked: everything that your key may see.'),
      ]),
    ]),
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
