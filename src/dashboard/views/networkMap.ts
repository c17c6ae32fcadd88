import type { GraphNode } from '../../api/schemas.ts'
import { h } from '../dom.ts'
import { type Body, type Link, spiral, step } from '../forces.ts'
import { aliasOf, type Graph } from './graph.ts'

const COOLING = 0.985
const COLD = 0.04
const LABELLED = 60

/** A map of the network on a canvas. The keyboard goes from node to node in the list below it, which says what the map shows. */
export class NetworkMap {
  readonly element: HTMLDivElement
  onchoose: (node: GraphNode) => void = () => {}
  readonly #graph: Graph
  readonly #self: number
  readonly #bodies: Body[]
  readonly #links: (Link & { width: number; isOff: boolean })[]
  readonly #canvas = h('canvas', { 'aria-hidden': 'true' })
  readonly #signal: AbortSignal
  readonly #colours = h(
    'div',
    { hidden: true },
    ['line', 'node', 'own', 'label', 'paper'].map((name) => h('i', { class: `map-${name}` })),
  )
  #heat = 1
  #chosen = -1
  #over = -1
  #view = { scale: 1, x: 0, y: 0 }
  #isScheduled = false

  constructor(graph: Graph, self: string, signal: AbortSignal) {
    this.#graph = graph
    this.#signal = signal
    const index = new Map(graph.nodes.map((node, i) => [node.nodeId, i]))
    this.#self = index.get(self) ?? -1
    this.#bodies = spiral(graph.nodes.length)
    this.#links = graph.channels.map(({ nodeId1, nodeId2, capacitySat, policies }) => ({
      a: index.get(nodeId1)!,
      b: index.get(nodeId2)!,
      width: Math.min(5, 0.6 + Math.log10(1 + (capacitySat ?? 0) / 100_000)),
      isOff: policies.every((policy) => policy?.enabled === false),
    }))
    for (const { a, b } of this.#links) {
      this.#bodies[a]!.degree++
      this.#bodies[b]!.degree++
    }
    this.element = h('div', { class: 'canvas' }, this.#canvas, this.#colours, this.#nodeList())
    this.#listen()
  }

  /** Settles in view, or at once for those who asked for less motion. */
  start(): void {
    if (matchMedia('(prefers-reduced-motion: reduce)').matches || this.#bodies.length > 1_500) {
      for (let i = 0; i < 150; i++) this.#cool()
      this.#heat = 0
    } else for (let i = 0; i < 40; i++) this.#cool() // no explosion from the spiral
    this.#draw()
  }

  #cool(): void {
    step(this.#bodies, this.#links, this.#heat)
    this.#heat *= COOLING
  }

  #nodeList(): HTMLDivElement {
    const byDegree = this.#graph.nodes
      .map((node, i) => ({ node, i }))
      .sort((p, q) => this.#bodies[q.i]!.degree - this.#bodies[p.i]!.degree)
    const buttons = byDegree.slice(0, LABELLED).map(({ node, i }) => {
      const look = (): void => this.#hover(i)
      return h(
        'button',
        { type: 'button', onclick: () => this.#choose(i), onfocus: look, onmouseenter: look },
        aliasOf(node),
      )
    })
    return h('div', { class: 'node-list', role: 'group', 'aria-label': 'Nodes with the most channels' }, buttons)
  }

  #listen(): void {
    const canvas = this.#canvas
    const at = (event: PointerEvent): number => this.#nearest(event.offsetX, event.offsetY)
    canvas.addEventListener('pointermove', (event) => this.#hover(at(event)))
    canvas.addEventListener('pointerleave', () => this.#hover(-1))
    canvas.addEventListener('click', (event) => {
      const found = at(event as PointerEvent)
      if (found >= 0) this.#choose(found)
    })
    const resized = new ResizeObserver(() => this.#draw())
    resized.observe(canvas)
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const redraw = (): void => this.#draw()
    dark.addEventListener('change', redraw, { signal: this.#signal })
    document.addEventListener('themechange', redraw, { signal: this.#signal })
    this.#signal.addEventListener('abort', () => resized.disconnect(), { once: true })
  }

  #choose(i: number): void {
    this.#chosen = i
    this.onchoose(this.#graph.nodes[i]!)
    this.#draw()
  }

  #hover(i: number): void {
    if (i === this.#over) return
    this.#over = i
    this.#canvas.style.cursor = i >= 0 ? 'pointer' : ''
    this.#draw()
  }

  #nearest(x: number, y: number): number {
    let [best, found] = [22 ** 2, -1]
    for (const [i, body] of this.#bodies.entries()) {
      const p = this.#place(body)
      const square = (p.x - x) ** 2 + (p.y - y) ** 2
      if (square < best) [best, found] = [square, i]
    }
    return found
  }

  #place = ({ x, y }: Body): { x: number; y: number } => {
    const { scale, x: left, y: top } = this.#view
    return { x: x * scale + left, y: y * scale + top }
  }

  /** Everything in view, with room for labels, and few nodes not blown up. */
  #fit(width: number, height: number): void {
    const [xs, ys] = [this.#bodies.map((b) => b.x), this.#bodies.map((b) => b.y)]
    const [left, right] = [xs.reduce((m, v) => Math.min(m, v), 0), xs.reduce((m, v) => Math.max(m, v), 0)]
    const [top, bottom] = [ys.reduce((m, v) => Math.min(m, v), 0), ys.reduce((m, v) => Math.max(m, v), 0)]
    const scale = Math.min(2.2, (width - 120) / Math.max(1, right - left), (height - 90) / Math.max(1, bottom - top))
    this.#view = { scale, x: width / 2 - ((left + right) / 2) * scale, y: height / 2 - ((top + bottom) / 2) * scale }
  }

  /** At most once a frame; goes on while the layout settles. */
  #draw(): void {
    if (this.#isScheduled || this.#signal.aborted) return
    this.#isScheduled = true
    requestAnimationFrame(() => {
      this.#isScheduled = false
      if (this.#signal.aborted || !this.#canvas.isConnected) return
      if (this.#heat > COLD) this.#cool()
      this.#paint()
      if (this.#heat > COLD) this.#draw()
    })
  }

  #paint(): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas
    const ratio = devicePixelRatio
    const size = { width: Math.round(width * ratio), height: Math.round(height * ratio) }
    if (this.#canvas.width !== size.width || this.#canvas.height !== size.height) Object.assign(this.#canvas, size)
    const context = this.#canvas.getContext('2d')
    if (!context || width === 0) return
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.clearRect(0, 0, width, height)
    this.#fit(width, height)
    // The theme decides: a canvas cannot read a custom property that is light or dark.
    const colours = [...this.#colours.children].map((swatch) => getComputedStyle(swatch).color)
    const [line = '', node = '', own = '', label = '', paper = ''] = colours
    this.#paintLinks(context, { line, own })
    this.#paintNodes(context, { node, own })
    this.#paintNames(context, { label, paper })
  }

  #paintLinks(context: CanvasRenderingContext2D, { line, own }: { line: string; own: string }): void {
    const lit = this.#over >= 0 ? this.#over : this.#chosen
    for (const { a, b, width, isOff } of this.#links) {
      const isLit = lit >= 0 ? a === lit || b === lit : a === this.#self || b === this.#self
      const [from, to] = [this.#place(this.#bodies[a]!), this.#place(this.#bodies[b]!)]
      context.beginPath()
      context.moveTo(from.x, from.y)
      context.lineTo(to.x, to.y)
      context.strokeStyle = isLit ? own : line
      context.lineWidth = width
      context.setLineDash(isOff ? [4, 4] : [])
      context.stroke()
    }
    context.setLineDash([])
  }

  #paintNodes(context: CanvasRenderingContext2D, colour: { node: string; own: string }): void {
    for (const [i, body] of this.#bodies.entries()) {
      const { x, y } = this.#place(body)
      context.beginPath()
      context.arc(x, y, this.#radius(i), 0, 2 * Math.PI)
      context.fillStyle = i === this.#self ? colour.own : colour.node
      context.fill()
      if (!this.#isLit(i)) continue
      context.beginPath()
      context.arc(x, y, this.#radius(i) + 4, 0, 2 * Math.PI)
      context.strokeStyle = colour.own
      context.lineWidth = 2
      context.stroke()
    }
  }

  /** Above all lines and nodes, with an edge of the colour of the paper. */
  #paintNames(context: CanvasRenderingContext2D, colour: { label: string; paper: string }): void {
    const areAllNamed = this.#bodies.length <= LABELLED
    context.font = getComputedStyle(this.element).font
    context.textAlign = 'center'
    context.lineJoin = 'round'
    context.lineWidth = 4
    context.strokeStyle = colour.paper
    context.fillStyle = colour.label
    for (const [i, body] of this.#bodies.entries()) {
      if (!areAllNamed && !this.#isLit(i) && i !== this.#self) continue
      const { x, y } = this.#place(body)
      const name = aliasOf(this.#graph.nodes[i]!)
      const below = y + this.#radius(i) + 17
      context.strokeText(name, x, below, 160)
      context.fillText(name, x, below, 160)
    }
  }

  #isLit = (i: number): boolean => i === this.#over || i === this.#chosen

  #radius = (i: number): number =>
    Math.min(16, 5 + 1.6 * Math.sqrt(this.#bodies[i]!.degree)) + (i === this.#self ? 3 : 0)
}
