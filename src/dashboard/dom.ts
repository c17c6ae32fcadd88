export type Child = Node | string | number | null | undefined | false | readonly Child[]
type Value = string | number | boolean | null | undefined | ((event: never) => void)
type Props = Readonly<Record<string, Value>>

const SVG = 'http://www.w3.org/2000/svg'

/**
 * An element. A function under `on…` listens, `true` is an attribute without a value, other values are attributes.
 * Children that are text stay text, whatever they hold: nothing here, or anywhere in the dashboard, reads text as markup.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), props, children)
}

/** The same for SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, tag), props, children)
}

function fill<E extends Element>(element: E, props: Props, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener)
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : String(value))
    }
  }
  element.append(...nodesOf(children))
  return element
}

const nodesOf = (child: Child): (Node | string)[] => {
  if (child === null || child === undefined || child === false) return []
  if (child instanceof Node) return [child]
  return typeof child === 'object' ? child.flatMap(nodesOf) : [String(child)]
}

/** What stands in an element, in place of what stood there. */
export function put(element: Element, ...children: Child[]): void {
  element.replaceChildren(...nodesOf(children))
}

const FOCUSABLE = 'button, a[href], input, select, textarea, summary'

/**
 * A list that keeps the elements of items that have not changed, so that focus, selection and open details stay when others change.
 * @returns shows other items
 */
export function keyedList<T>(
  container: Element,
  { key, render }: { key: (item: T) => string; render: (item: T) => Element },
): (items: readonly T[]) => void {
  let shown = new Map<string, { text: string; element: Element }>()
  return (items) => {
    const next: typeof shown = new Map()
    for (const item of items) {
      const text = JSON.stringify(item)
      const before = shown.get(key(item))
      const kept = before?.text === text ? before : { text, element: replacement(render(item), before?.element) }
      next.set(key(item), kept)
    }
    const wanted = [...next.values()].map(({ element }) => element)
    for (const { element } of shown.values()) if (!wanted.includes(element)) element.remove()
    for (const [at, element] of wanted.entries()) {
      if (container.children[at] !== element) container.insertBefore(element, container.children[at] ?? null)
    }
    for (const element of wanted) (element as { focusLater?: () => void }).focusLater?.()
    shown = next
  }
}

/** The new form of an element takes over what is open in the old one, and the focus once it is in the page. */
function replacement(element: Element, old: Element | undefined): Element {
  if (!old) return element
  const isOpen = [...old.querySelectorAll('details')].map((details) => details.open)
  for (const [at, details] of [...element.querySelectorAll('details')].entries()) details.open = isOpen[at] ?? false
  const at = [...old.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement as Element)
  if (at < 0) return element
  return Object.assign(element, {
    focusLater() {
      element.querySelectorAll<HTMLElement>(FOCUSABLE)[at]?.focus()
      delete (element as { focusLater?: () => void }).focusLater
    },
  })
}
