import type { Event } from '../api/schemas.ts'
import { grouped, satText, sentence, shortId } from './format.ts'
import type { IconName } from './icons.ts'

export type Tone = 'good' | 'bad' | 'warn' | 'plain'

export interface EventText {
  readonly icon: IconName
  readonly tone: Tone
  readonly title: string
  readonly detail: string
  /** What it moved; positive when it came in. */
  readonly msat?: number
}

interface Names {
  nameOf(nodeId: string): string
  /** Of a channel by its local or channel id. */
  peerOf(channelId: string): string
  /** What an invoice of ours is for, and who a payment of ours went to; '' when that is not known. */
  invoiceOf(paymentHash: string): string
  payeeOf(paymentHash: string): string
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const number = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0)

type Describe = (data: Event['data'], names: Names) => EventText

const channel =
  (title: string, tone: Tone): Describe =>
  (data, names) => ({
    icon: 'channels',
    tone,
    title,
    detail: [`with ${names.nameOf(text(data.peer))}`, text(data.how) && sentence(text(data.how))]
      .filter(Boolean)
      .join(' · '),
  })

const forward =
  (title: string, tone: Tone): Describe =>
  (data, names) => ({
    icon: 'forward',
    tone,
    title,
    detail: [
      `${names.peerOf(text(data.incomingChannelId))} → ${names.peerOf(text(data.outgoingChannelId))}`,
      satText(number(data.amountOutMsat)),
      text(data.detail) && sentence(text(data.detail)),
    ]
      .filter(Boolean)
      .join(' · '),
    ...(tone === 'good' && { msat: number(data.feeMsat) }),
  })

const invoice =
  (title: string, tone: Tone): Describe =>
  (data, names) => {
    const hash = text(data.paymentHash)
    return { icon: 'receive', tone, title, detail: names.invoiceOf(hash) || shortId(hash) }
  }

const payment =
  (title: string, tone: Tone, detailOf: (data: Event['data']) => string): Describe =>
  (data, names) => {
    const payee = names.payeeOf(text(data.paymentHash))
    return { icon: 'send', tone, title, detail: [payee && `to ${payee}`, detailOf(data)].filter(Boolean).join(' · ') }
  }

/** What is wrong, in words; of other codes the code says it. */
const ALERTS = new Map(
  Object.entries({
    CHANNEL_IN_DOUBT: 'A channel is in doubt',
    CHANNEL_QUARANTINED: 'A channel is set aside',
    CHANNEL_EVENT_NOT_HANDLED: 'A bug: a channel missed something',
    PART_FAILED: 'A bug: a part failed',
    CHANNEL_WAITS_FOR_PEER: 'Only its peer can close a channel',
    HTLC_DEADLINE: 'A payment goes on chain soon',
    WALLET_RESERVE_SHORT: 'Too little to close channels',
    CHAIN_BEHIND: 'The chain is not in step',
    WEBHOOK_FAILING: 'A webhook is not acknowledged',
    WEBHOOK_FAILED: 'A webhook was given up',
    DISK_LOW: 'The disk is nearly full',
  }),
)
/** What works for a time, by the code of its alert: a warning before its end, a problem from then on. */
const ENDING = new Map([
  ['KEY_EXPIRING', 'API key'],
  ['CERTIFICATE_EXPIRING', 'The certificate'],
])
export function alertTitle({ code, severity }: { readonly code: string; readonly severity: unknown }): string {
  const what = ENDING.get(code)
  if (what) return `${what} ${severity === 'problem' ? 'has ended' : 'is about to end'}`
  return ALERTS.get(code) ?? sentence(code || 'alert')
}
const titleOf = (data: Event['data']): string => alertTitle({ code: text(data.code), severity: data.severity })

/** How each event is told. */
const TEXTS = new Map<string, Describe>(
  Object.entries({
    'channel.pending': channel('Channel is opening', 'plain'),
    'channel.ready': channel('Channel is ready', 'good'),
    'channel.closing': channel('Channel is closing', 'warn'),
    'channel.closed': channel('Channel is closed', 'plain'),
    'invoice.accepted': invoice('Payment is held', 'warn'),
    'invoice.settled': invoice('Payment received', 'good'),
    'invoice.expired': invoice('Invoice expired', 'plain'),
    'payment.pending': payment('Paying', 'plain', (data) => satText(number(data.amountMsat))),
    'payment.succeeded': (data, names) => ({
      ...payment('Payment sent', 'good', () => `fee ${satText(number(data.feeMsat))}`)(data, names),
      msat: -number(data.amountMsat) - number(data.feeMsat),
    }),
    'payment.failed': payment('Payment failed', 'bad', (data) => {
      const isUnknown = data.failureCode === 'OUTCOME_UNKNOWN'
      return `${satText(number(data.amountMsat))} ${isUnknown ? 'may be paid: ask the payee' : 'stayed here'}`
    }),
    'forward.settled': forward('Forwarded', 'good'),
    'forward.failed': forward('Forward failed', 'plain'),
    'peer.connected': (data, names) => ({
      icon: 'peer',
      tone: 'plain',
      title: 'Peer connected',
      detail: names.nameOf(text(data.nodeId)),
    }),
    'peer.disconnected': (data, names) => ({
      icon: 'peer',
      tone: 'plain',
      title: 'Peer disconnected',
      detail: [names.nameOf(text(data.nodeId)), text(data.reason)].filter(Boolean).join(' · '),
    }),
    'chain.block': (data) => ({
      icon: 'block',
      tone: 'plain',
      title: `Block ${grouped(number(data.height))}`,
      detail: '',
    }),
    'chain.reorg': (data) => ({
      icon: 'block',
      tone: 'warn',
      title: 'Reorganisation',
      detail: `down to block ${grouped(number(data.height))}`,
    }),
    'wallet.transaction': (data) => ({
      icon: 'wallet',
      tone: 'plain',
      title: 'On-chain transaction',
      detail: data.blockHeight === null ? 'waits for a block' : `in block ${grouped(number(data.blockHeight))}`,
      msat: number(data.netSat) * 1000,
    }),
    'key.rotated': (data) => ({
      icon: 'keys',
      tone: 'plain',
      title: 'API key rotated',
      detail: `${text(data.id)}, version ${number(data.version)}`,
    }),
    'key.expiring': (data) => ({
      icon: 'keys',
      tone: 'warn',
      title: 'API key is about to end',
      detail: `${text(data.name)}, version ${number(data.version)}`,
    }),
    'node.alert': (data, names) => ({
      icon: 'alert',
      tone: 'bad',
      title: titleOf(data),
      detail: [text(data.peer) && `with ${names.nameOf(text(data.peer))}`, text(data.message)]
        .filter(Boolean)
        .join(' · '),
    }),
    'node.alert.cleared': (data) => ({
      icon: 'check',
      tone: 'good',
      title: `Put right: ${titleOf(data)}`,
      detail: '',
    }),
  }),
)

export const describeEvent = (event: Event, names: Names): EventText =>
  TEXTS.get(event.type)?.(event.data, names) ?? { icon: 'log', tone: 'plain', title: sentence(event.type), detail: '' }

/** Those that somebody has to know of. */
export const isAlert = (event: Event): boolean => event.type === 'node.alert' || event.type === 'key.expiring'

/** Money and channels; not the heartbeat of peers and blocks. */
export const isActivity = (event: Event): boolean =>
  !/^(peer|chain|key|invoice\.expired|payment\.pending)/.test(event.type)
