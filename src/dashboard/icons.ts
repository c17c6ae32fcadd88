import { svg } from './dom.ts'

/* Strokes on a grid of 24. */
const PATHS = {
  overview: 'M4 11.5 12 5l8 6.5M6.5 10v9h11v-9',
  payments: 'M7 4v14m0 0-3-3m3 3 3-3M17 20V6m0 0-3 3m3-3 3 3',
  channels: 'M3 12h4m10 0h4M10 12h4M7 9a3 3 0 1 0 0 6M17 9a3 3 0 1 1 0 6',
  wallet: 'M4 7.5h14a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zm0 0A2.5 2.5 0 0 1 6.5 5H16M16 13.2h.01',
  earnings: 'M5 20v-6m4.7 6V8m4.6 12v-9M19 20V4',
  network:
    'M12 6.5 6.5 16m11 0L12 6.5M8.5 18h7M12 7a2 2 0 1 0 0-4 2 2 0 0 0 0 4M6 20a2 2 0 1 0 0-4 2 2 0 0 0 0 4m12 0a2 2 0 1 0 0-4 2 2 0 0 0 0 4',
  keys: 'M4 15.5a4.5 4.5 0 1 0 9 0 4.5 4.5 0 1 0-9 0m7.7-3.2L20 4m-3 3 2.5 2.5',
  webhooks: 'M4 12h9m0 0-3.5-3.5M13 12l-3.5 3.5M13 5h5a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2h-5',
  audit: 'M8 4h8l3 3v13H5V4zm1 6h6m-6 4h6',
  log: 'M4 6h2m3 0h11M4 12h2m3 0h11M4 18h2m3 0h11',
  node: 'M5 5h14v5H5zm0 9h14v5H5zm3-6.5h.01M8 16.5h.01',
  more: 'M6 12h.01M12 12h.01M18 12h.01',
  send: 'M7 17 17 7m0 0H9m8 0v8',
  receive: 'M17 7 7 17m0 0h8m-8 0V9',
  forward: 'M4 12h15m0 0-5-5m5 5-5 5',
  peer: 'M12 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7m-7 9a7 7 0 0 1 14 0',
  block: 'm12 3 8 4.5v9L12 21l-8-4.5v-9zm0 9 8-4.5M12 12v9m0-9L4 7.5',
  alert: 'M12 4 2.5 20h19zm0 6v4.5m0 2.5h.01',
  copy: 'M9 9h10v11H9zM15 9V4H5v11h4',
  check: 'm5 12.5 4.5 4.5L19 7.5',
  close: 'm6 6 12 12M18 6 6 18',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2.5v2m0 15v2M2.5 12h2m15 0h2M5.3 5.3l1.4 1.4m10.6 10.6 1.4 1.4m0-13.4-1.4 1.4M6.7 17.3l-1.4 1.4',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5',
  auto: 'M12 3.5a8.5 8.5 0 1 0 0 17zm0 0a8.5 8.5 0 0 1 0 17',
  out: 'M10 4H5v16h5m4-12 4 4m0 0-4 4m4-4H9',
  download: 'M12 4v11m0 0-4-4m4 4 4-4M5 20h14',
  plus: 'M12 5v14M5 12h14',
  refresh: 'M19 12a7 7 0 1 1-2.05-4.95L19 9m0-5v5h-5',
} as const

export type IconName = keyof typeof PATHS

/** Beside words that say the same, so hidden from screen readers. */
export const icon = (name: IconName): SVGSVGElement =>
  svg(
    'svg',
    { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' },
    svg('path', { d: PATHS[name] }),
  )

/** The bolt of the brand. */
export const bolt = (): SVGSVGElement =>
  svg('svg', { class: 'bolt', viewBox: '0 0 32 32', 'aria-hidden': 'true', focusable: 'false' }, [
    svg('rect', { width: 32, height: 32, rx: 9 }),
    svg('path', { d: 'M18.5 4 7.5 18.2h7L13 28l11.5-14.6h-7.3z' }),
  ])
