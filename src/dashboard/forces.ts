/* Where the nodes of a graph go: they push each other apart, channels pull their ends together, and all are drawn to the middle. */

export interface Body {
  x: number
  y: number
  vx: number
  vy: number
  /** Channels at this node. */
  degree: number
}

export interface Link {
  readonly a: number
  readonly b: number
}

const REPULSION = 2_600
const SPRING = 0.05
const LENGTH = 90
const GRAVITY = 0.012
const FRICTION = 0.82
/** Further apart than this, two nodes do not feel each other: so a large graph costs no more than its density. */
const REACH = 420
const GOLDEN_ANGLE = 2.399963

/** On a spiral, so that the same graph always comes out the same. */
export const spiral = (count: number): Body[] =>
  Array.from({ length: count }, (_, i) => {
    const radius = 26 * Math.sqrt(i + 0.5)
    return { x: radius * Math.cos(i * GOLDEN_ANGLE), y: radius * Math.sin(i * GOLDEN_ANGLE), vx: 0, vy: 0, degree: 0 }
  })

/** One step of time. @param heat 1 at first, towards 0 as the layout settles */
export function step(bodies: readonly Body[], links: readonly Link[], heat: number): void {
  for (const [a, b] of neighbours(bodies)) {
    const [dx, dy] = [b.x - a.x, b.y - a.y]
    const square = Math.max(dx * dx + dy * dy, 25)
    if (square > REACH * REACH) continue
    const force = (REPULSION * heat) / (square * Math.sqrt(square))
    a.vx -= dx * force
    a.vy -= dy * force
    b.vx += dx * force
    b.vy += dy * force
  }
  for (const { a: from, b: to } of links) {
    const [a, b] = [bodies[from]!, bodies[to]!]
    const [dx, dy] = [b.x - a.x, b.y - a.y]
    const distance = Math.hypot(dx, dy) || 1
    // A node with many channels is not torn about by each of them.
    const force = (SPRING * heat * (distance - LENGTH)) / distance / Math.sqrt(Math.min(a.degree, b.degree) || 1)
    a.vx += dx * force
    a.vy += dy * force
    b.vx -= dx * force
    b.vy -= dy * force
  }
  for (const body of bodies) {
    body.vx = (body.vx - body.x * GRAVITY * heat) * FRICTION
    body.vy = (body.vy - body.y * GRAVITY * heat) * FRICTION
    body.x += body.vx
    body.y += body.vy
  }
}

/** Pairs within one another's reach, from a grid of cells of that size. */
function* neighbours(bodies: readonly Body[]): Generator<readonly [Body, Body]> {
  const cells = new Map<string, Body[]>()
  for (const body of bodies) {
    const [x, y] = [Math.floor(body.x / REACH), Math.floor(body.y / REACH)]
    for (let dx = -1; dx <= 1; dx++) {
      for (let dy = -1; dy <= 1; dy++) {
        for (const other of cells.get(`${x + dx},${y + dy}`) ?? []) yield [other, body]
      }
    }
    const own = cells.get(`${x},${y}`)
    if (own) own.push(body)
    else cells.set(`${x},${y}`, [body])
  }
}
