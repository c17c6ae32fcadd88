import type { Event } from '../api/schemas.ts'
import { announce } from './announce.ts'
import type { App, View } from './app.ts'
import { h, put } from './dom.ts'
import { isAlert } from './eventText.ts'
import { satText } from './format.ts'
import { bolt, icon } from './icons.ts'
import { Live } from './live.ts'
import { VIEWS } from './pages.ts'
import { button, problemBox } from './parts.ts'
import type { SignIn } from './signIn.ts'
import { applyTheme, nextTheme, theme } from './theme.ts'
import { textOf } from './views/activity.ts'
import { alertLink } from './views/alerts.ts'

/** Those in the bar of a phone; the others are behind "More". */
const FIRST = 4

/** The dashboard around its views. @returns when the session ends: why, or undefined after a sign-out */
export function showShell(place: HTMLElement, session: SignIn): Promise<unknown> {
  const ending = new AbortController()
  const { signal } = ending
  return new Promise((resolve) => {
    const live = new Live(session.client, session.key)
    const signOut = (why?: unknown): void => {
      if (signal.aborted) return
      ending.abort()
      for (const dialog of document.querySelectorAll('dialog')) dialog.close()
      location.hash = ''
      resolve(why)
    }
    const app: App = {
      live,
      signOut,
      go: (route) => {
        location.hash = `#/${route}`
      },
    }
    const main = h('main', { id: 'main', tabindex: -1 })
    const toMain = (event: MouseEvent): void => {
      event.preventDefault()
      main.focus()
    }
    const skip = h('a', { class: 'skip', href: '#main', onclick: toMain }, 'Skip to content')
    const links = navigation(app)
    put(place, skip, h('div', { class: 'shell' }, side(app, links, session, signal), main))
    router(app, main, signal)
    tellOf(app, signal)
    document.addEventListener('visibilitychange', () => live.refreshAll(), { signal })
    live.follow(signal).catch((error: unknown) => signOut(error))
  })
}

/** What happens while somebody looks elsewhere is said, and what concerns them is shown. */
function tellOf(app: App, signal: AbortSignal): void {
  const { live } = app
  let isAsking = false
  const tell = async (event: Event): Promise<void> => {
    const { title, detail, tone } = textOf(app, event)
    if (event.type === 'invoice.settled') {
      if (isAsking) return // of many at once, one is told
      isAsking = true
      const invoice = await live.client.invoices.get(String(event.data.paymentHash)).catch(() => null)
      isAsking = false
      announce(
        `Received ${satText(invoice?.receivedMsat ?? 0)}${invoice?.description ? `: ${invoice.description}` : ''}`,
        { toast: true, tone },
      )
    } else if (isAlert(event)) announce(`${title}. ${detail}`, { toast: true, tone })
    else if (/^(payment\.(succeeded|failed)|channel\.|forward\.settled|wallet\.)/.test(event.type))
      announce(`${title}. ${detail}`)
  }
  live.hear(signal, (event) => void tell(event))
}

const linkTo = ({ route, title, icon: name }: View): HTMLAnchorElement =>
  h('a', { href: `#/${route}` }, icon(name), h('span', {}, title))

function navigation({ live }: App): HTMLAnchorElement[] {
  return VIEWS.filter(({ scopes, route }) => route === 'overview' || scopes.some((scope) => live.can(scope))).map(
    linkTo,
  )
}

function side(app: App, links: readonly HTMLAnchorElement[], session: SignIn, signal: AbortSignal): HTMLElement {
  const { live, signOut } = app
  const name = h('span', { class: 'node-name' }, '')
  const dot = h('span', { class: 'dot good' })
  const state = h('span', {}, 'Live')
  session.onreach = (answers) => {
    if ((dot.className === 'dot good') === answers) return
    dot.className = `dot ${answers ? 'good' : 'bad'}`
    state.textContent = answers ? 'Live' : 'No connection'
    announce(answers ? 'Connected again' : 'The node does not answer', { toast: true, tone: answers ? 'good' : 'bad' })
    if (answers) live.touchAll()
  }
  if (live.can('node:read')) {
    live.of.node.watch(signal, () => {
      const { value } = live.of.node
      if (value) put(name, value.alias, h('small', {}, value.network))
    })
  }
  const more = h(
    'details',
    { class: 'more' },
    h('summary', {}, icon('more'), h('span', {}, 'More')),
    h(
      'ul',
      {},
      links.slice(FIRST).map((link) => h('li', {}, link.cloneNode(true))),
    ),
  )
  more.addEventListener('click', (event) => {
    if ((event.target as Element).closest('a')) more.open = false
  })
  const lists = h(
    'ul',
    {},
    links.map((link, at) => h('li', { class: at >= FIRST ? 'later' : '' }, link)),
  )
  return h('header', { class: 'side' }, [
    h('div', { class: 'brand' }, bolt(), h('div', {}, h('strong', {}, 'Fulmen'), name)),
    h('nav', { 'aria-label': 'Dashboard' }, lists, links.length > FIRST && more),
    h('div', { class: 'foot' }, [
      alertLink(app, signal),
      h('p', { class: 'connection', role: 'status' }, dot, state),
      h('p', { class: 'who' }, 'Key: ', h('strong', {}, live.key.name)),
      h(
        'div',
        { class: 'tools' },
        themeButton(),
        button('Sign out', () => signOut(), { icon: 'out', kind: 'quiet' }),
      ),
    ]),
  ])
}

const THEME_ICONS = { auto: 'auto', light: 'sun', dark: 'moon' } as const

function themeButton(): HTMLButtonElement {
  const element = button('', () => applyTheme(nextTheme()), { kind: 'quiet' })
  const show = (): void => {
    element.setAttribute('aria-label', `Theme: ${theme()}`)
    element.title = `Theme: ${theme()}`
    put(element, icon(THEME_ICONS[theme()]))
  }
  document.addEventListener('themechange', show)
  show()
  return element
}

/** The hash of the address says which view is shown, so that the browser's back and forward work. */
function router(app: App, main: HTMLElement, signal: AbortSignal): void {
  let ending = new AbortController()
  const show = async (isFirst: boolean): Promise<void> => {
    const route = location.hash.replace(/^#\/?/, '')
    const view = VIEWS.find((one) => one.route === route) ?? VIEWS[0]!
    ending.abort()
    ending = new AbortController()
    const until = AbortSignal.any([signal, ending.signal])
    for (const link of document.querySelectorAll('nav a')) {
      if (link.getAttribute('href') === `#/${view.route}`) link.setAttribute('aria-current', 'page')
      else link.removeAttribute('aria-current')
    }
    document.title = `${view.title} · Fulmen`
    const title = h('h1', { tabindex: -1 }, view.title)
    const content = await view.load().then(({ render }) => !until.aborted && render(app, until), problemBox)
    if (until.aborted) return
    put(main, h('div', { class: `view ${view.route}` }, title, content))
    scrollTo(0, 0)
    if (!isFirst) title.focus({ preventScroll: true })
  }
  addEventListener('hashchange', () => void show(false), { signal })
  // The others are there before somebody asks for them.
  void show(true).then(() => Promise.allSettled(VIEWS.map(({ load }) => load())))
}
