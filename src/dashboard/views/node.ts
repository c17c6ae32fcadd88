import type { Health } from '../../api/schemas.ts'
import type { App, Render } from '../app.ts'
import { actionForm, field, openDialog } from '../dialog.ts'
import { type Child, h, put } from '../dom.ts'
import { duration, grouped, uriOf } from '../format.ts'
import { button, chip, copyBox, denied, facts, idOf, problemBox, qr, section, shown } from '../parts.ts'
import { save } from '../save.ts'

function health({ live }: App, signal: AbortSignal): HTMLElement {
  const place = h('div', { class: 'loading' })
  const load = (): void =>
    void live.client.ready().then(
      ({ status, reasons }: Health) => {
        place.className = ''
        put(
          place,
          chip(status === 'ok' ? 'Ready' : 'Not ready', status === 'ok' ? 'good' : 'bad'),
          reasons.length > 0 &&
            h(
              'ul',
              {},
              reasons.map((reason) => h('li', {}, reason)),
            ),
        )
      },
      (error: unknown) => put(place, problemBox(error)),
    )
  load()
  live.hear(signal, ({ type }) => {
    if (/^(chain|node)\./.test(type)) load()
  })
  return place
}

/** The file that brings channels' money back on another machine. */
const saveBackup = ({ live }: App): Promise<void> =>
  save('channels.backup', 'Backup', async () => {
    const { data } = await live.client.backup()
    return new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type: 'application/octet-stream' })
  })

function openMine(app: App): void {
  const dialog = openDialog()
  const blocks = h('input', { type: 'number', min: 1, max: 1000, value: 6 })
  const run = async (): Promise<void> => {
    const { address } = await app.live.client.wallet.newAddress()
    await app.live.client.chain.mine(Number(blocks.value), address)
    dialog.close()
  }
  const hint = 'The rewards come to this wallet and can be spent 100 blocks later.'
  dialog.show('Mine blocks', actionForm({ act: 'Mine', run, cancel: dialog.close }, field('Blocks', blocks, { hint })))
}

const identity = ({ live }: App, signal: AbortSignal): Child =>
  shown(live.of.node, signal, (n): Child => {
    const uri = uriOf(n.nodeId, n.addresses[0])
    return h('div', { class: 'identity' }, [
      qr(uri, 'QR code of the address of this node'),
      h('div', {}, [
        h('h3', {}, n.alias),
        copyBox(uri, 'Address of this node'),
        facts(
          ['Network', n.network],
          ['Version', n.version],
          ['Up for', duration(n.uptimeSeconds)],
          [
            'Block',
            [grouped(n.blockHeight), ' ', chip(n.synced ? 'in sync' : 'catching up', n.synced ? 'good' : 'warn')],
          ],
          n.addresses.length > 1 && ['Other addresses', n.addresses.slice(1).join(', ')],
          ['Features', h('code', { class: 'whole' }, n.features)],
        ),
      ]),
    ])
  })

function chainSection(app: App, signal: AbortSignal): Child {
  const { live } = app
  const mayMine = live.can('chain:mine') && live.can('wallet:read') && live.of.node.value?.network === 'regtest'
  return section('Chain', { actions: mayMine && button('Mine…', () => openMine(app)) }, [
    shown(live.of.chain, signal, (c) =>
      facts(['Source', c.backend], ['Height', grouped(c.height)], ['Tip', idOf(c.hash, 'Block hash')]),
    ),
    shown(live.of.fees, signal, (fees) =>
      facts(
        ...fees.map(
          ({ targetBlocks, feerateSatPerVbyte }) =>
            [
              `Within ${targetBlocks} block${targetBlocks === 1 ? '' : 's'}`,
              `${Math.round(feerateSatPerVbyte * 100) / 100} sat/vB`,
            ] as const,
        ),
      ),
    ),
  ])
}

const backupSection = (app: App): Child =>
  section('Backup', { actions: button('Save backup', () => void saveBackup(app)) }, [
    h('p', { class: 'detail' }, [
      'The channel backup is encrypted from the seed words. Keep both, in different places. The words are never shown here: ',
      h('code', {}, 'fulmen seed show'),
      ' on the machine prints them.',
    ]),
  ])

export const render: Render = (app, signal) => {
  const { live } = app
  if (!live.can('node:read')) return h('section', { class: 'card', 'aria-label': 'Node' }, denied('node:read'))
  return [
    section('This node', {}, identity(app, signal)),
    section('Health', {}, health(app, signal)),
    live.can('chain:read') && chainSection(app, signal),
    live.can('*') && backupSection(app),
    h('p', { class: 'detail' }, [
      h('a', { href: '/docs', target: '_blank', rel: 'noreferrer' }, 'API reference'),
      ' · ',
      h('a', { href: '/v1/openapi.json', target: '_blank', rel: 'noreferrer' }, 'OpenAPI document'),
    ]),
  ]
}
