import { h, svg } from './dom.ts'

export interface Bar {
  readonly label: string
  readonly value: number
}

/** A bar's part of its share of the width; few bars are no wider than so many would be. */
const BAR = 0.72
const LEAST_BARS = 14
/** What is not nothing is seen, in percent of the height. */
const LEAST_HEIGHT = 1.5

/**
 * Bars along time, oldest first. The line above tells of the bar under the pointer or finger, else of all.
 * @param words what the picture shows, for those who do not see it; the numbers belong into a table beside it
 * @param tell a bar in words
 */
export function barChart(bars: readonly Bar[], words: string, tell: (bar: Bar | null) => string): HTMLElement {
  const most = Math.max(...bars.map(({ value }) => value), 1)
  const width = BAR * Math.min(1, bars.length / LEAST_BARS)
  const drawn = bars.map(({ value }, at) => {
    const height = value <= 0 ? 0 : Math.max(LEAST_HEIGHT, (100 * value) / most)
    return svg('rect', { x: at + (1 - width) / 2, width, y: 100 - height, height })
  })
  const picture = svg(
    'svg',
    { viewBox: `0 0 ${bars.length} 100`, preserveAspectRatio: 'none', role: 'img', 'aria-label': words },
    drawn,
  )
  const told = h('p', { class: 'detail', 'aria-hidden': 'true' }, tell(null))
  const point = (event?: PointerEvent): void => {
    const box = picture.getBoundingClientRect()
    const at = event === undefined ? -1 : Math.floor(((event.clientX - box.left) / box.width) * bars.length)
    for (const [i, rect] of drawn.entries()) rect.classList.toggle('pointed', i === at)
    told.textContent = tell(bars[at] ?? null)
  }
  picture.addEventListener('pointermove', point)
  picture.addEventListener('pointerdown', point)
  picture.addEventListener('pointerleave', () => point())
  const ends = h(
    'p',
    { class: 'axis detail', 'aria-hidden': 'true' },
    h('span', {}, bars[0]?.label ?? ''),
    bars.length > 1 && h('span', {}, bars.at(-1)?.label ?? ''),
  )
  return h('div', { class: 'chart' }, told, picture, ends)
}
