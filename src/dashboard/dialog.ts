import { type Child, h, put } from './dom.ts'
import { button, problemBox } from './parts.ts'

export interface Dialog {
  readonly element: HTMLDialogElement
  /** Aborts when the dialog closes: whatever it watches ends with it. */
  readonly signal: AbortSignal
  /** Another page of the same dialog; focus goes to its first field, or to its title. */
  show(title: string, ...children: Child[]): void
  close(): void
}

let ids = 0

/**
 * A modal dialog: the browser keeps the focus inside, Escape closes it, and focus returns to where it was.
 * @param options `stays`: only its own buttons close it
 */
export function openDialog(options: { stays?: boolean } = {}): Dialog {
  const ending = new AbortController()
  const titleId = `dialog-${++ids}`
  const title = h('h2', { id: titleId, tabindex: -1 })
  const body = h('div', { class: 'dialog-body' })
  const element = h('dialog', { 'aria-labelledby': titleId })
  const close = (): void => element.close()
  const closing = !options.stays && button('', close, { icon: 'close', kind: 'quiet', label: 'Close' })
  element.append(h('header', {}, title, closing), body)
  element.addEventListener('cancel', (event) => {
    if (options.stays) event.preventDefault()
  })
  element.addEventListener('close', () => {
    ending.abort()
    element.remove()
  })
  // A click on the backdrop, which is the element itself outside of its box.
  element.addEventListener('mousedown', (event) => {
    const { left, right, top, bottom } = element.getBoundingClientRect()
    const isInside = event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom
    if (event.target === element && !isInside && !options.stays) close()
  })
  document.body.append(element)
  return {
    element,
    signal: ending.signal,
    close,
    show(text, ...children) {
      put(title, text)
      put(body, ...children)
      if (!element.open) element.showModal()
      const first = body.querySelector<HTMLElement>('input, textarea, select')
      ;(first ?? title).focus()
    },
  }
}

/** Asks before something that cannot be taken back. */
export function confirmDialog(
  title: string,
  options: { act: string; kind?: 'primary' | 'danger'; run: () => Promise<void> },
  ...children: Child[]
): void {
  const dialog = openDialog()
  const { act, kind = 'danger', run } = options
  const form = actionForm({ act, kind, run: async () => run().then(dialog.close), cancel: dialog.close }, ...children)
  dialog.show(title, form)
}

export interface ActionOptions {
  /** The words of the button. */
  readonly act: string
  readonly kind?: 'primary' | 'danger'
  /** What it does; what it throws is shown in the form, which can then be sent again. */
  readonly run: () => Promise<unknown>
  readonly cancel?: () => void
}

/** A form with one action: the button waits for the answer, and a problem is shown above it. */
export function actionForm(
  { act, kind = 'primary', run, cancel }: ActionOptions,
  ...children: Child[]
): HTMLFormElement {
  const problem = h('div', {})
  const submit = h('button', { type: 'submit', class: `button ${kind}` }, h('span', {}, act))
  const onsubmit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    put(problem)
    submit.disabled = true
    submit.setAttribute('aria-busy', 'true')
    try {
      await run()
    } catch (error) {
      put(problem, problemBox(error))
    } finally {
      submit.disabled = false
      submit.removeAttribute('aria-busy')
    }
  }
  const back = cancel && button('Cancel', cancel)
  return h(
    'form',
    { class: 'form', onsubmit, novalidate: true },
    children,
    problem,
    h('div', { class: 'actions' }, back, submit),
  )
}

export interface FieldOptions {
  readonly hint?: Child
  readonly unit?: string
}

/** A labelled control. */
export function field(
  label: string,
  control: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement,
  { hint, unit }: FieldOptions = {},
): HTMLDivElement {
  const id = control.id || `field-${++ids}`
  control.id = id
  if (hint) control.setAttribute('aria-describedby', `${id}-hint`)
  return h('div', { class: 'field' }, [
    h('label', { for: id }, label),
    unit ? h('div', { class: 'with-unit' }, control, h('span', { 'aria-hidden': 'true' }, unit)) : control,
    hint ? h('p', { class: 'hint', id: `${id}-hint` }, hint) : null,
  ])
}

export const satInput = (props: Record<string, string | boolean> = {}): HTMLInputElement =>
  h('input', { type: 'text', inputmode: 'numeric', autocomplete: 'off', ...props })

/** A box to tick, with its words beside it. */
export function checkbox(label: Child, checked = false): { element: HTMLLabelElement; input: HTMLInputElement } {
  const input = h('input', { type: 'checkbox', checked })
  return { input, element: h('label', { class: 'check' }, input, h('span', {}, label)) }
}

export const select = (
  choices: readonly (readonly [value: string, text: string])[],
  chosen?: string,
): HTMLSelectElement =>
  h(
    'select',
    {},
    choices.map(([value, text]) => h('option', { value, selected: value === chosen }, text)),
  )
