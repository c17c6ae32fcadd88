import type { Scope } from '../api/auth/scopes.ts'
import { ApiError } from '../client/errors.ts'
import { announce } from './announce.ts'
import { type Child, h, put, svg } from './dom.ts'
import { groupsOf, parts, relative, shortId } from './format.ts'
import { type IconName, icon } from './icons.ts'
import { qrCode } from './qr.ts'
import type { Resource } from './resource.ts'

/* Small pieces that the views share. */

export interface AmountOptions {
  readonly signed?: boolean
  /** Without the part after the point. */
  readonly whole?: boolean
}

/** An amount whose groups are set apart by space, so that what is copied or read aloud is still the number. */
export function amount(msat: number, { signed = false, whole = false }: AmountOptions = {}): HTMLSpanElement {
  const { sat, rest } = parts(msat)
  const sign = msat < 0 ? '−' : signed && msat > 0 ? '+' : ''
  return h('span', { class: 'amount' }, [
    sign && h('span', { class: 'sign' }, sign),
    ...groupsOf(String(Math.abs(sat))).map((group) => h('span', { class: 'group' }, group)),
    rest && !whole && h('span', { class: 'rest' }, `.${rest}`),
    h('span', { class: 'unit' }, ' sat'),
  ])
}

export const amountOfSat = (sat: number): HTMLSpanElement => amount(sat * 1000)

/** A time, kept current by `keepTimes`. */
export const timeOf = (iso: string): HTMLTimeElement =>
  h('time', { datetime: iso, title: new Date(iso).toLocaleString() }, relative(iso, Date.now()))

const MINUTE_MS = 30_000

export function keepTimes(): void {
  setInterval(() => {
    const now = Date.now()
    for (const time of document.querySelectorAll('time')) time.textContent = relative(time.dateTime, now)
  }, MINUTE_MS)
}

export const chip = (text: string, tone: 'good' | 'bad' | 'warn' | 'plain' = 'plain'): HTMLSpanElement =>
  h('span', { class: `chip ${tone}` }, text)

export interface ButtonOptions {
  readonly icon?: IconName
  readonly kind?: 'primary' | 'danger' | 'caution' | 'quiet'
  readonly label?: string
  readonly disabled?: boolean
  readonly title?: string
}

/** @param options `label` names a button that shows only an icon, or needs more words than it shows */
export function button(text: string, onclick: () => void, options: ButtonOptions = {}): HTMLButtonElement {
  const { kind = '', label, disabled = false, title } = options
  const props = {
    type: 'button',
    class: `button ${kind}`,
    'aria-label': label,
    title: title ?? null,
    disabled,
    onclick,
  }
  return h('button', props, [options.icon && icon(options.icon), text && h('span', {}, text)])
}

/** The clipboard is there only for pages that came over TLS or from this machine; else the text is selected for copying by hand. */
async function copy(text: string, what: string, from?: HTMLElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    announce(`${what} copied`, { toast: true })
  } catch {
    if (from) getSelection()?.selectAllChildren(from)
    announce(`${what} selected: copy it by hand`, { toast: true })
  }
}

/** An id, shortened, with a button that copies all of it. */
export function idOf(id: string, what: string): HTMLSpanElement {
  const code = h('code', { title: id }, shortId(id))
  const copyIt = button('', () => void copy(id, what, code), { icon: 'copy', kind: 'quiet', label: `Copy ${what}` })
  return h('span', { class: 'id' }, code, copyIt)
}

/** A long text in full, to be copied. */
export function copyBox(text: string, what: string): HTMLElement {
  const code = h('code', { tabindex: 0 }, text)
  const act = button('Copy', () => void copy(text, what, code), { icon: 'copy', label: `Copy ${what}` })
  return h('div', { class: 'copy-box' }, code, act)
}

const QUIET = 4

/** A QR code that scales, dark on white in either theme, since many readers know no other. */
export function qr(text: string, label: string): SVGSVGElement {
  const modules = qrCode(text)
  const size = modules.length + 2 * QUIET
  // One path of horizontal runs.
  const path = modules.flatMap((row, y) =>
    [
      ...row
        .map((dark) => (dark ? '#' : ' '))
        .join('')
        .matchAll(/#+/g),
    ].map((run) => `M${run.index + QUIET} ${y + QUIET}h${run[0].length}v1h-${run[0].length}z`),
  )
  return svg(
    'svg',
    { class: 'qr', viewBox: `0 0 ${size} ${size}`, role: 'img', 'aria-label': label, 'shape-rendering': 'crispEdges' },
    [svg('rect', { class: 'paper', width: size, height: size }), svg('path', { class: 'ink', d: path.join('') })],
  )
}

/** A bar of shares, told in words to those who do not see it. */
export function bar(shares: readonly { value: number; kind: string }[], label: string): HTMLDivElement {
  const total = shares.reduce((sum, { value }) => sum + value, 0) || 1
  const element = h('div', { class: 'bar', role: 'img', 'aria-label': label })
  for (const { value, kind } of shares) {
    if (value <= 0) continue
    const share = h('span', { class: kind })
    share.style.flexGrow = String(value / total)
    element.append(share)
  }
  return element
}

/** What went wrong, in the node's words. */
export function problemBox(error: unknown): HTMLDivElement {
  const isProblem = error instanceof ApiError
  const title = isProblem ? error.problem.title : error instanceof RangeError ? '' : 'No answer from the node'
  const detail = error instanceof Error ? error.message : String(error)
  return h('div', { class: 'problem', role: 'alert' }, [
    icon('alert'),
    h('div', {}, [title && h('strong', {}, title), h('p', {}, detail)]),
  ])
}

/** Names and values. */
export const facts = (...rows: readonly (readonly [string, Child] | false | null)[]): HTMLDListElement =>
  h(
    'dl',
    { class: 'facts' },
    rows.flatMap((row) => (row ? [h('div', {}, h('dt', {}, row[0]), h('dd', {}, row[1]))] : [])),
  )

export function section(
  title: string,
  options: { actions?: Child; class?: string },
  ...children: Child[]
): HTMLElement {
  const heading = h('h2', {}, title)
  return h('section', { class: `card ${options.class ?? ''}` }, h('header', {}, heading, options.actions), ...children)
}

export const empty = (text: string, ...more: Child[]): HTMLDivElement =>
  h('div', { class: 'empty' }, h('p', {}, text), ...more)

/** Shown where the key of this session may not look. */
export const denied = (scope: Scope): HTMLDivElement =>
  h('div', { class: 'empty' }, h('p', {}, 'Your key may not see this. It needs the scope ', h('code', {}, scope), '.'))

/** A shimmer in the place of what is being loaded. */
export const waiting = (): HTMLDivElement => h('div', { class: 'loading', 'aria-busy': 'true' })

/** It has been loaded. */
export function settle(place: HTMLElement): void {
  place.className = ''
  place.removeAttribute('aria-busy')
}

/** A place that shows a resource: a shimmer before it is loaded, then the view, or what went wrong. */
export function shown<T>(
  resource: Resource<T>,
  signal: AbortSignal,
  view: (value: T, place: HTMLElement) => Child | undefined,
): HTMLDivElement {
  const place = waiting()
  resource.watch(signal, () => {
    settle(place)
    if (resource.value === undefined) return put(place, problemBox(resource.error))
    const children = view(resource.value, place)
    if (children !== undefined) put(place, children)
  })
  return place
}

/** A table that scrolls by itself where it is too wide, with the keyboard too. @param options `numeric`: all columns but the first */
export function table(
  label: string,
  heads: readonly string[],
  rows: readonly (readonly Child[])[],
  options: { numeric?: boolean } = {},
): HTMLDivElement {
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label }, [
    h('table', { class: options.numeric && 'numeric' }, [
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          heads.map((head) => h('th', { scope: 'col' }, head)),
        ),
      ),
      h(
        'tbody',
        {},
        rows.map((row) =>
          h(
            'tr',
            {},
            row.map((cell) => h('td', {}, cell)),
          ),
        ),
      ),
    ]),
  ])
}
