import type { Payment } from '../../api/schemas.ts'
import type { App } from '../app.ts'
import { openDialog } from '../dialog.ts'
import { type Child, h } from '../dom.ts'
import { satText, sentence } from '../format.ts'
import { amount, chip, copyBox, facts, idOf, timeOf } from '../parts.ts'

/** Of one whose outcome is unknown nobody may read that it was not paid. */
export const isUnpaid = ({ status, failure }: Pick<Payment, 'status' | 'failure'>): boolean =>
  status === 'failed' && failure?.code !== 'OUTCOME_UNKNOWN'

export const PAYMENT_TONES = { pending: 'warn', succeeded: 'good', failed: 'bad' } as const

/** All that is known of a payment. */
export const paymentFacts = (app: App, payment: Payment): Child => [
  payment.failure &&
    h(
      'div',
      { class: 'problem' },
      h('div', {}, h('strong', {}, sentence(payment.failure.code)), h('p', {}, payment.failure.detail)),
    ),
  facts(
    ['Fee', isUnpaid(payment) ? 'none' : payment.status === 'failed' ? 'not known' : amount(payment.feeMsat)],
    payment.nodeId !== null && ['To', [`${app.live.nameOf(payment.nodeId)} `, idOf(payment.nodeId, 'Node id')]],
    ['Payment hash', idOf(payment.paymentHash, 'Payment hash')],
    payment.preimage !== null && ['Proof of payment', idOf(payment.preimage, 'Preimage')],
  ),
]

export function openPayment(app: App, payment: Payment): void {
  const dialog = openDialog()
  dialog.show('Payment', [
    h('p', { class: 'headline' }, amount(payment.amountMsat)),
    h('p', {}, chip(sentence(payment.status), PAYMENT_TONES[payment.status]), ' ', timeOf(payment.createdAt)),
    paymentFacts(app, payment),
    payment.parts.length > 0 && [
      h('h3', {}, payment.parts.length === 1 ? 'Route' : `${payment.parts.length} parts`),
      h(
        'ol',
        { class: 'parts' },
        payment.parts.map((part) => partOf(app, part)),
      ),
    ],
    payment.bolt11 !== null && h('details', {}, h('summary', {}, 'Invoice'), copyBox(payment.bolt11, 'Invoice')),
  ])
}

const partOf = (app: App, part: Payment['parts'][number]): HTMLLIElement =>
  h('li', {}, [
    chip(sentence(part.status), PAYMENT_TONES[part.status]),
    ` ${satText(part.amountMsat)}, fee ${satText(part.feeMsat)}`,
    h('div', { class: 'hops' }, ['You', ...part.route.map((hop) => app.live.nameOf(hop.nodeId))].join(' → ')),
    part.failure && h('div', { class: 'detail' }, part.failure),
  ])
