import type { Wallet, WalletTransaction } from '../../api/onchainSchemas.ts'
import { onceKnown } from '../again.ts'
import { announce, attempt } from '../announce.ts'
import type { App, Render } from '../app.ts'
import { actionForm, checkbox, field, openDialog, satInput } from '../dialog.ts'
import { type Child, h, put } from '../dom.ts'
import { grouped, parseSat, satText, shortId } from '../format.ts'
import { icon } from '../icons.ts'
import {
  amount,
  amountOfSat,
  button,
  chip,
  copyBox,
  denied,
  empty,
  facts,
  idOf,
  qr,
  section,
  shown,
  table,
  timeOf,
} from '../parts.ts'
import { feerateField } from './feerate.ts'
import { pagedList, rowButton } from './payments.ts'

const PARTS: readonly (readonly [keyof Wallet, string])[] = [
  ['unconfirmedSat', 'Not confirmed'],
  ['lockedSat', 'In channel openings'],
  ['immatureSat', 'Mined, not mature'],
  ['reservedSat', 'Reserved for closing and claims'],
]

const balances = (wallet: Wallet): Child => [
  h('p', { class: 'eyebrow' }, 'Confirmed'),
  h('p', { class: 'total' }, amountOfSat(wallet.confirmedSat)),
  facts(...PARTS.map(([name, words]) => wallet[name] > 0 && ([words, amountOfSat(wallet[name])] as const))),
]

function openAddress(app: App): void {
  const dialog = openDialog()
  const place = h('div', { class: 'invoice loading' })
  const load = async (): Promise<void> => {
    const { address } = await app.live.client.wallet.newAddress()
    place.className = 'invoice'
    const note = h('p', { class: 'detail' }, 'A new address each time: payments to old ones arrive too.')
    put(place, qr(`bitcoin:${address}`.toUpperCase(), 'QR code of the address'), copyBox(address, 'Address'), note)
  }
  dialog.show('Receive on chain', actionForm({ act: 'Another address', run: load }, place))
  dialog.element.querySelector('form')?.requestSubmit()
}

function openSend(app: App): void {
  const { live } = app
  const dialog = openDialog()
  const address = h('input', { type: 'text', autocomplete: 'off', spellcheck: false })
  const sat = satInput()
  const all = checkbox('Everything, less the fee and what must stay for open channels')
  all.input.addEventListener('change', () => {
    sat.disabled = all.input.checked
  })
  const feerate = feerateField(app)
  const ask = async (): Promise<void> => {
    const to = address.value
      .trim()
      .replace(/^bitcoin:/i, '')
      .replace(/\?.*$/, '')
    if (to === '') throw new RangeError('Enter the address to send to.')
    confirmSend(to, all.input.checked ? 'all' : parseSat(sat.value), feerate.value())
  }
  const confirmSend = (to: string, amountSat: number | 'all', rate: { feerateSatPerVbyte?: number }): void => {
    const { feerateSatPerVbyte } = rate
    const send = onceKnown(live.client.wallet.send)
    const run = async (): Promise<void> => {
      const tx = await send({ outputs: [{ address: to, amountSat }], ...rate })
      for (const one of [live.of.wallet, live.of.transactions, live.of.utxos]) one.touch()
      const [feeSat, sentSat] = [tx.feeSat ?? 0, amountSat === 'all' ? -tx.netSat - (tx.feeSat ?? 0) : amountSat]
      announce(`Sent ${satText(sentSat * 1000)}, fee ${satText(feeSat * 1000)}`, {
        toast: true,
        tone: 'good',
      })
      dialog.close()
    }
    dialog.show(
      'Confirm',
      actionForm(
        { act: `Send ${amountSat === 'all' ? 'everything' : satText(amountSat * 1000)}`, run, cancel: dialog.close },
        [
          h('p', { class: 'headline' }, amountSat === 'all' ? 'Everything' : amountOfSat(amountSat)),
          facts(
            ['To', h('code', { class: 'whole' }, to)],
            ['Fee rate', feerateSatPerVbyte === undefined ? 'as the node estimates' : `${feerateSatPerVbyte} sat/vB`],
          ),
          h('p', { class: 'hint' }, 'On-chain payments cannot be taken back.'),
        ],
      ),
    )
  }
  dialog.show(
    'Send on chain',
    actionForm({ act: 'Continue', run: ask, cancel: dialog.close }, [
      field('Address', address),
      field('Amount', sat, { unit: 'sat' }),
      all.element,
      feerate.element,
    ]),
  )
}

/** Labels name a channel by its local id; people know it by its peer. */
function labelOf({ live }: App, { label, netSat }: WalletTransaction): string {
  if (label === null) return netSat < 0 ? 'Sent' : 'Received'
  const words = label.replace(/\b[0-9a-f]{20,}\b/g, (id) => {
    const channel = live.of.channels.value?.find((one) => one.id === id)
    return channel ? `with ${live.nameOf(channel.peer)}` : shortId(id)
  })
  return words.charAt(0).toUpperCase() + words.slice(1)
}

const WITHOUT_BLOCK: Readonly<Record<WalletTransaction['status'], string>> = {
  confirmed: 'In a block',
  unconfirmed: 'Waits for a block',
  dropped: 'Another took its place: it moves nothing',
}

function openTransaction(app: App, tx: WalletTransaction): void {
  const dialog = openDialog()
  dialog.show('Transaction', [
    h('p', { class: 'headline' }, amount(tx.netSat * 1000, { signed: true })),
    facts(
      ['Transaction id', idOf(tx.txid, 'Transaction id')],
      ['Fee', tx.feeSat === null ? 'paid by others' : amountOfSat(tx.feeSat)],
      ['Block', tx.blockHeight === null ? WITHOUT_BLOCK[tx.status] : grouped(tx.blockHeight)],
      ['For', labelOf(app, tx)],
      ['Seen', timeOf(tx.createdAt)],
    ),
    h('details', {}, h('summary', {}, 'Raw transaction'), copyBox(tx.hex, 'Raw transaction')),
  ])
}

const transactionRow = (app: App, tx: WalletTransaction): HTMLLIElement =>
  rowButton(
    () => openTransaction(app, tx),
    [
      h(
        'span',
        { class: `badge ${tx.status === 'unconfirmed' ? 'warn' : 'plain'}` },
        icon(tx.netSat < 0 ? 'send' : 'receive'),
      ),
      h('span', { class: 'main' }, [
        h('strong', {}, labelOf(app, tx)),
        h(
          'span',
          { class: 'detail' },
          tx.blockHeight === null ? WITHOUT_BLOCK[tx.status] : `Block ${grouped(tx.blockHeight)} · ${shortId(tx.txid)}`,
        ),
      ]),
      h('span', { class: 'side' }, [
        h('span', { class: tx.netSat > 0 ? 'in' : '' }, amount(tx.netSat * 1000, { signed: true })),
        timeOf(tx.createdAt),
      ]),
    ],
  )

export const render: Render = (app, signal) => {
  const { live } = app
  if (!live.can('wallet:read')) return h('section', { class: 'card', 'aria-label': 'Wallet' }, denied('wallet:read'))
  // Names of the channels that transactions are for.
  if (live.can('channels:read')) live.of.channels.watch(signal, () => {})
  if (live.can('node:read')) live.of.peers.watch(signal, () => {})
  const coins = shown(live.of.utxos, signal, ({ items, nextCursor }) =>
    items.length === 0
      ? empty('No coins.')
      : [
          table(
            'Coins',
            ['Output', 'Amount', 'Confirmations', 'State'],
            items.map((u) => [
              idOf(u.outpoint, 'Outpoint'),
              amountOfSat(u.amountSat),
              grouped(u.confirmations),
              u.locked ? chip('locked', 'warn') : 'free',
            ]),
          ),
          nextCursor !== null &&
            h(
              'div',
              { class: 'below' },
              button('Show more', () => void attempt(() => live.of.utxos.more())),
            ),
        ],
  )
  return [
    h('div', { class: 'quick' }, [
      button('Receive', () => openAddress(app), { icon: 'receive' }),
      live.can('wallet:send') && button('Send', () => openSend(app), { icon: 'send', kind: 'primary' }),
    ]),
    h('section', { class: 'card', 'aria-label': 'On-chain balance' }, shown(live.of.wallet, signal, balances)),
    section(
      'Transactions',
      {},
      pagedList(live.of.transactions, signal, {
        key: (t) => t.id,
        row: (tx) => transactionRow(app, tx),
        none: 'No transactions yet.',
      }),
    ),
    section('Coins', {}, coins),
  ]
}
