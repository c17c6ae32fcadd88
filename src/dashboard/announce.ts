import { h } from './dom.ts'

const SHOWN_MS = 5_000
const SPOKEN_MS = 1_500
let waiting: string | undefined

/**
 * Says something to screen readers, and shows it for a while if asked to. When much happens at once only the last is said: a
 * reader that is always behind helps nobody.
 */
export function announce(text: string, options: { toast?: boolean; tone?: string } = {}): void {
  if (waiting === undefined) setTimeout(speak, SPOKEN_MS / 10)
  waiting = text
  if (options.toast) toast(text, options.tone ?? 'plain')
}

/** What a button does that has no form to show a problem in: it is told instead. */
export async function attempt(run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    announce(error instanceof Error ? error.message : String(error), { toast: true, tone: 'bad' })
  }
}

function speak(): void {
  const announcer = document.getElementById('announcer')
  if (announcer) announcer.textContent = waiting ?? ''
  waiting = undefined
}

function toast(text: string, tone: string): void {
  const toasts = document.getElementById('toasts')
  const element = h('div', { class: `toast ${tone}`, 'aria-hidden': 'true' }, text)
  toasts?.append(element)
  while ((toasts?.childElementCount ?? 0) > 3) toasts?.firstElementChild?.remove()
  setTimeout(() => element.remove(), SHOWN_MS)
}
