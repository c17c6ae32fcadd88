import type { IssuedKey, Key, RotateKey } from '../../api/keySchemas.ts'
import type { App } from '../app.ts'
import { actionForm, checkbox, field, openDialog, satInput, select } from '../dialog.ts'
import { h } from '../dom.ts'
import { parseSat } from '../format.ts'
import { copyBox } from '../parts.ts'

/**
 * A secret that the node shows this once.
 * @param options what it is called, and why it is shown once
 * @returns resolves when its owner says that it is kept
 */
export function showSecret(
  title: string,
  secret: string,
  note: string,
  { what = 'Key', once = 'the node keeps only its hash' } = {},
): Promise<void> {
  const dialog = openDialog({ stays: true })
  dialog.show(
    title,
    actionForm(
      { act: 'I have saved it', run: async () => dialog.close() },
      h('p', {}, note),
      copyBox(secret, what),
      h('p', { class: 'hint' }, `It is shown this once: ${once}.`),
    ),
  )
  return new Promise((resolve) => dialog.signal.addEventListener('abort', () => resolve(), { once: true }))
}

export const GRACES = [
  ['0', 'at once'],
  ['3600', 'after 1 hour'],
  ['86400', 'after 1 day'],
  ['604800', 'after 1 week'],
] as const

export function openRotate(app: App, key: Key): void {
  const { live } = app
  const dialog = openDialog()
  const grace = select(GRACES, '3600')
  const compromised = checkbox('It is in wrong hands: stop the old version now, with no way back')
  compromised.input.addEventListener('change', () => {
    grace.disabled = compromised.input.checked
  })
  const run = async (): Promise<void> => {
    const request: RotateKey = compromised.input.checked ? { compromised: true } : { graceSeconds: Number(grace.value) }
    const isOwn = key.id === live.key.id
    dialog.element.inert = isOwn // the secret is shown above it, by what follows the rotation of our own key
    const issued = await live.client.keys.rotate(key.id, request).finally(() => {
      dialog.element.inert = false
    })
    live.of.keys.hurry()
    dialog.close()
    if (!isOwn)
      await secretOf(issued, 'Give it to the client, then see in its usage when the old version falls silent.')
  }
  dialog.show(
    `Rotate ${key.name}`,
    actionForm({ act: 'Rotate', run, cancel: dialog.close }, [
      h('p', {}, `Version ${key.version + 1} works at once. Meanwhile version ${key.version} still works.`),
      field('The old version ends', grace),
      compromised.element,
    ]),
  )
}

const secretOf = ({ name, version, secret }: IssuedKey, note: string): Promise<void> =>
  showSecret(`${name}, version ${version}`, secret, note)

const PRESETS = [
  ['readonly', 'Read only', 'sees everything but keys, changes nothing'],
  ['invoice', 'Receive', 'makes invoices, cannot spend'],
  ['spend', 'Spend', 'pays and sends, within a budget if you set one'],
  ['admin', 'Everything', 'like your own'],
] as const

const EXPIRIES = [
  ['', 'never'],
  ['604800', 'in 1 week'],
  ['2592000', 'in 30 days'],
  ['31536000', 'in 1 year'],
] as const

export function openCreateKey(app: App): void {
  const { live } = app
  const dialog = openDialog()
  const name = h('input', { type: 'text', maxlength: 100, autocomplete: 'off', placeholder: 'shop' })
  const budget = satInput({ placeholder: 'None' })
  const period = select(
    [
      ['', 'in all'],
      ['86400', 'a day'],
      ['604800', 'a week'],
      ['2592000', 'a month'],
    ],
    '86400',
  )
  const expiry = select(EXPIRIES, '')
  const presets = PRESETS.map(([value, title, note], at) => {
    const input = h('input', { type: 'radio', name: 'preset', value, checked: at === 0 })
    return {
      input,
      value,
      element: h(
        'label',
        { class: 'choice' },
        input,
        h('span', {}, h('strong', {}, title), h('span', { class: 'hint' }, note)),
      ),
    }
  })
  const run = async (): Promise<void> => {
    if (name.value.trim() === '') throw new RangeError('Give it a name, so that you know later whose it is.')
    const preset = presets.find(({ input }) => input.checked)?.value ?? 'readonly'
    const issued = await live.client.keys.create({
      name: name.value.trim(),
      preset,
      ...(expiry.value && { expiresAt: new Date(Date.now() + Number(expiry.value) * 1000).toISOString() }),
      ...(budget.value.trim() !== '' && {
        budget: {
          maxMsat: parseSat(budget.value) * 1000,
          ...(period.value && { periodSeconds: Number(period.value) }),
        },
      }),
    })
    live.of.keys.hurry()
    dialog.close()
    await secretOf(issued, `The key of ${issued.name}.`)
  }
  dialog.show(
    'Create a key',
    actionForm({ act: 'Create key', run, cancel: dialog.close }, [
      field('Name', name),
      h(
        'fieldset',
        {},
        h('legend', {}, 'What it may do'),
        presets.map(({ element }) => element),
      ),
      h('div', { class: 'pair' }, field('Budget', budget, { unit: 'sat' }), field('For', period)),
      field('Ends', expiry),
    ]),
  )
}
