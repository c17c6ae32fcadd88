import type { Channel } from '../../api/schemas.ts'
import { onceKnown } from '../again.ts'
import { announce } from '../announce.ts'
import type { App } from '../app.ts'
import { actionForm, checkbox, field, openDialog, satInput } from '../dialog.ts'
import { h } from '../dom.ts'
import { blocksText, parseSat, satText } from '../format.ts'
import { icon } from '../icons.ts'
import { amount, facts } from '../parts.ts'
import { feerateField } from './feerate.ts'

const number = (text: string, what: string): number => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) throw new RangeError(`${what}: enter a number.`)
  return value
}

/** @param peer node id, or nodeId@host:port, when it is known already */
export function openOpen(app: App, peer = ''): void {
  const { live } = app
  const dialog = openDialog()
  const list = h(
    'datalist',
    { id: 'known-peers' },
    (live.of.peers.value ?? []).map((p) => h('option', { value: p.nodeId }, p.alias ?? '')),
  )
  const node = h('input', {
    type: 'text',
    autocomplete: 'off',
    spellcheck: false,
    list: 'known-peers',
    value: peer,
    placeholder: 'nodeId or nodeId@host:9735',
  })
  const capacity = satInput({ placeholder: '1 000 000' })
  const push = satInput({ placeholder: '0' })
  const feerate = feerateField(app)
  const announced = checkbox('Announce it, so that others can pay through it', true)
  const open = onceKnown(live.client.channels.open)
  const run = async (): Promise<void> => {
    if (node.value.trim() === '') throw new RangeError('Enter the node to open a channel with.')
    const pushSat = push.value.trim() === '' ? 0 : parseSat(push.value)
    const channel = await open({
      peer: node.value.trim(),
      capacitySat: parseSat(capacity.value),
      announce: announced.input.checked,
      ...feerate.value(),
      ...(pushSat > 0 && { pushMsat: pushSat * 1000 }),
    })
    if (live.can('channels:read')) live.of.channels.touch()
    announce(channel.waitsFor === null ? 'Channel is opening' : `Channel is opening: waits for ${channel.waitsFor}`, {
      toast: true,
      tone: 'good',
    })
    dialog.close()
  }
  const balance = live.of.balance.value
  dialog.show(
    'Open a channel',
    actionForm({ act: 'Open channel', run, cancel: dialog.close }, [
      list,
      field('With', node),
      field('Capacity', capacity, {
        unit: 'sat',
        hint: balance ? ['From the wallet, which has ', amount(balance.onchainConfirmedSat * 1000), '.'] : null,
      }),
      feerate.element,
      announced.element,
      live.can('wallet:send') &&
        h(
          'details',
          {},
          h('summary', {}, 'Give the peer some of it'),
          field('Gift', push, { unit: 'sat', hint: 'It is theirs from the start and does not come back.' }),
        ),
    ]),
  )
}

/** What a force close costs, hidden until somebody asks for one. */
function forceWarning(channel: Channel, understood: HTMLElement): HTMLElement {
  const pending = channel.htlcs.length
  return h(
    'div',
    { class: 'problem', role: 'alert', hidden: true },
    icon('alert'),
    h('div', {}, [
      h('strong', {}, 'A force close costs time and money'),
      h('ul', {}, [
        h(
          'li',
          {},
          `Your ${satText(channel.localMsat)} are locked for ${blocksText(channel.toSelfDelay)} after it confirms.`,
        ),
        h('li', {}, 'It takes several on-chain transactions instead of one, and you pay for them.'),
        pending > 0 &&
          h('li', {}, `${pending} payment${pending === 1 ? ' is' : 's are'} under way and must be settled on chain.`),
        h('li', {}, 'It cannot be taken back. Use it only if the peer no longer answers.'),
      ]),
      understood,
    ]),
  )
}

const choice = (input: HTMLInputElement, name: string, hint: string): HTMLElement =>
  h('label', { class: 'choice' }, input, h('span', {}, h('strong', {}, name), h('span', { class: 'hint' }, hint)))

/** Together by default. By force only after a warning that has to be ticked. */
export function openClose(app: App, channel: Channel): void {
  const { live } = app
  const dialog = openDialog()
  const name = live.nameOf(channel.peer)
  const [together, force] = [
    h('input', { type: 'radio', name: 'how', checked: true }),
    h('input', { type: 'radio', name: 'how' }),
  ]
  const understood = checkbox('I understand, and want to close it by force')
  const warning = forceWarning(channel, understood.element)
  const away =
    !channel.peerConnected && h('p', { class: 'hint' }, 'The peer is away: closing together goes on when it is back.')
  const update = (): void => {
    warning.hidden = !force.checked
    const submit = form.querySelector<HTMLButtonElement>('button[type=submit]')
    if (!submit) return
    submit.classList.toggle('danger', force.checked)
    submit.disabled = force.checked && !understood.input.checked
    const words = submit.querySelector('span')
    if (words) words.textContent = force.checked ? 'Force close' : 'Close channel'
  }
  for (const input of [together, force, understood.input]) input.addEventListener('change', update)
  const run = async (): Promise<void> => {
    await live.client.channels.close(channel.id, force.checked ? { force: true } : {})
    if (live.can('channels:read')) live.of.channels.touch()
    announce(`The channel with ${name} is closing`, { toast: true })
    dialog.close()
  }
  const form = actionForm({ act: 'Close channel', kind: 'primary', run, cancel: dialog.close }, [
    facts(['Channel with', name], ['Comes back to you', ['about ', amount(channel.localMsat), ', less fees']]),
    h('fieldset', {}, h('legend', {}, 'How'), [
      choice(together, 'Together with the peer', 'One transaction, low fee, yours as soon as it confirms.'),
      choice(force, 'By force', 'Without the peer. Slow and costly.'),
    ]),
    away,
    warning,
  ])
  dialog.show('Close channel', form)
}

/** A closing transaction that pays more in place of one that waits; ours alone pays for it. */
export function openRaise(app: App, channel: Channel): void {
  const { live } = app
  const dialog = openDialog()
  const feerate = feerateField(app, 'Higher than it was')
  const paidSat = channel.closing?.transactions[0]?.feeSat ?? null
  const run = async (): Promise<void> => {
    const { feerateSatPerVbyte } = feerate.value()
    if (feerateSatPerVbyte === undefined) throw new RangeError('Enter the fee rate that it should pay.')
    await live.client.channels.close(channel.id, { feerateSatPerVbyte })
    live.of.channels.hurry()
    announce('A closing transaction with a higher fee is offered to the peer', { toast: true, tone: 'good' })
    dialog.close()
  }
  dialog.show(
    'Raise the fee',
    actionForm({ act: 'Raise the fee', run, cancel: dialog.close }, [
      h('p', {}, [
        `The channel with ${live.nameOf(channel.peer)} closes as soon as a block takes its closing transaction. `,
        'Another one that pays more takes its place, out of your part.',
      ]),
      paidSat !== null && facts(['Fee so far', amount(paidSat * 1000)]),
      feerate.element,
    ]),
  )
}

/** What this channel asks of payments that are forwarded over it. */
export function openPolicy(app: App, channel: Channel): void {
  const dialog = openDialog()
  const { policy } = channel
  const base = h('input', { type: 'number', min: 0, step: 1, value: policy.feeBaseMsat })
  const proportional = h('input', { type: 'number', min: 0, step: 1, value: policy.feeProportionalMillionths })
  const run = async (): Promise<void> => {
    await app.live.client.channels.setPolicy(channel.id, {
      feeBaseMsat: number(base.value, 'Base fee'),
      feeProportionalMillionths: number(proportional.value, 'Proportional fee'),
    })
    if (app.live.can('channels:read')) app.live.of.channels.touch()
    announce('Fees changed', { toast: true, tone: 'good' })
    dialog.close()
  }
  dialog.show(
    'Fees for forwards',
    actionForm({ act: 'Save', run, cancel: dialog.close }, [
      h('p', { class: 'detail' }, `Over the channel with ${app.live.nameOf(channel.peer)}.`),
      field('Base fee', base, { unit: 'msat' }),
      field('Proportional fee', proportional, {
        unit: 'ppm',
        hint: 'Parts per million of the amount: 1 000 is 0.1 %.',
      }),
    ]),
  )
}
