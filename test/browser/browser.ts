import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { inflateSync } from 'node:zlib'
import { type Browser, chromium, type Locator, type Page } from 'playwright-core'
import { readQr } from '../dashboard/readQr.ts'

/** Path of a Chromium; undefined: tests that need one are left out, and say so. */
export const CHROMIUM = process.env.FULMEN_CHROMIUM

/** Nothing that it does by itself leaves this machine. */
const QUIET = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
]

export const startBrowser = (path: string): Promise<Browser> =>
  chromium.launch({ executablePath: path, args: QUIET, headless: true })

/** A way to a server on this machine that can be cut and mended. */
export interface Way {
  readonly url: string
  cut(): Promise<void>
  mend(): Promise<void>
}

export async function wayTo(target: string): Promise<Way> {
  const { hostname, port } = new URL(target)
  const open = new Set<Socket>()
  const server: Server = createServer((near) => {
    const far = connect(Number(port), hostname)
    near.pipe(far).pipe(near)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => open.delete(one) && other.destroy())
    }
  })
  const listen = (at: number): Promise<void> => new Promise((resolve) => server.listen(at, '127.0.0.1', resolve))
  await listen(0)
  const own = (server.address() as AddressInfo).port
  return {
    url: `http://127.0.0.1:${own}`,
    cut: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
    mend: () => listen(own),
  }
}

/** What a page did that it should not: errors, refused resources, requests to other hosts. */
export function watch(page: Page, origin: string): string[] {
  const found: string[] = []
  page.on('console', (m) => {
    if (m.type() === 'error' || m.type() === 'warning') found.push(`${m.type()}: ${m.text()}`)
  })
  page.on('pageerror', (e) => found.push(`exception: ${e.message}`))
  page.on('dialog', (dialog) => {
    found.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) found.push(`other host: ${request.url()}`)
    if (/fulmen_/.test(request.url())) found.push(`key in address: ${request.url()}`)
  })
  return found
}

/** What an independent reader finds in what is on the screen. */
export async function readScreen(place: Locator): Promise<string | null> {
  const { width, height, data } = decodePng(await place.screenshot())
  return readQr(data, width, height)
}

/** 8-bit RGB or RGBA, not interlaced, as browsers write it. @source PNG (ISO/IEC 15948) §7, §9 */
function decodePng(png: Uint8Array): { width: number; height: number; data: Uint8ClampedArray } {
  const file = Buffer.from(png)
  const [width, height, channels] = [file.readUInt32BE(16), file.readUInt32BE(20), file[25] === 6 ? 4 : 3]
  const parts: Buffer[] = []
  for (let at = 8; at < file.length; at += 12 + file.readUInt32BE(at)) {
    if (file.toString('latin1', at + 4, at + 8) === 'IDAT')
      parts.push(file.subarray(at + 8, at + 8 + file.readUInt32BE(at)))
  }
  const raw = inflateSync(Buffer.concat(parts))
  const stride = width * channels
  const lines = new Uint8Array(height * stride)
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)]!
    for (let i = 0; i < stride; i++) {
      const left = i < channels ? 0 : lines[y * stride + i - channels]!
      const up = y === 0 ? 0 : lines[(y - 1) * stride + i]!
      const corner = i < channels || y === 0 ? 0 : lines[(y - 1) * stride + i - channels]!
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter]!
      lines[y * stride + i] = raw[y * (stride + 1) + 1 + i]! + guess
    }
  }
  const data = new Uint8ClampedArray(width * height * 4).fill(255)
  for (let p = 0; p < width * height; p++) for (let c = 0; c < 3; c++) data[4 * p + c] = lines[channels * p + c]!
  return { width, height, data }
}

function paeth(left: number, up: number, corner: number): number {
  const near = left + up - corner
  const [a, b, c] = [Math.abs(near - left), Math.abs(near - up), Math.abs(near - corner)]
  return a <= b && a <= c ? left : b <= c ? up : corner
}

/**
 * What of a page would keep somebody out: controls and columns without a name, text that is hard to read, targets that are hard to hit,
 * doubled ids, headings or landmarks that are missing, levels of headings left out, a page wider than the screen.
 * @source WCAG 2.2 AA: 1.1.1, 1.3.1, 1.4.3, 1.4.10, 2.5.8, 4.1.2
 */
export const barriers = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = []
    const isSeen = (e: Element): boolean => e.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    const modal = document.querySelector('dialog[open]')
    const all = [...(modal ?? document).querySelectorAll('*')].filter(isSeen)
    const about = (e: Element): string =>
      `<${e.localName} class="${e.getAttribute('class') ?? ''}"> ${e.textContent?.slice(0, 40)}`

    const nameOf = (e: Element): string => {
      const by = e.getAttribute('aria-labelledby')
      const labels = (e as HTMLInputElement).labels
      const words = [
        e.getAttribute('aria-label'),
        by && document.getElementById(by)?.textContent,
        labels?.[0]?.textContent,
        // biome-ignore lint/performance/useDomNodeTextContent: what is not displayed is read by no screen reader either
        e instanceof HTMLElement ? e.innerText : e.textContent,
      ]
      return (words.find((w) => w?.trim()) ?? '').trim()
    }
    const isInput = (e: Element): boolean => e.matches('input, select, textarea')
    for (const e of all) {
      if (
        e.matches(
          'button, a[href], input, select, textarea, summary, dialog, nav, th, [role=img], [role=region], [role=tab], [role=tabpanel]',
        )
      ) {
        if (!(isInput(e) ? nameOf(e) && ((e as HTMLInputElement).labels?.length ?? 0) > 0 : nameOf(e)))
          found.push(`no name: ${about(e)}`)
      }
      if (e.matches('button, input:not([type=radio], [type=checkbox]), select, [role=tab]')) {
        const { width, height } = e.getBoundingClientRect()
        if (width < 24 || height < 24) found.push(`small, ${Math.round(width)}×${Math.round(height)}: ${about(e)}`)
      }
      if (e.matches('svg:not([role=img]), canvas') && e.closest('[aria-hidden=true]') === null)
        found.push(`picture without words: ${about(e)}`)
    }
    const ids = [...document.querySelectorAll('[id]')].map((e) => e.id)
    for (const id of new Set(ids.filter((one, i) => ids.indexOf(one) !== i))) found.push(`id twice: ${id}`)
    const levels = all.filter((e) => e.matches('h1, h2, h3, h4')).map((e) => Number(e.localName[1]))
    if (modal === null && levels.some((level, i) => level > (levels[i - 1] ?? 0) + 1))
      found.push(`levels of headings: ${levels}`)
    if (document.querySelectorAll('h1').length !== 1) found.push('not one h1')
    if (document.querySelectorAll('main').length !== 1) found.push('not one main')
    if (!document.documentElement.lang || !document.title) found.push('no language or title')

    type Colour = readonly [number, number, number, number]
    const colourOf = (text: string): Colour => {
      const [r = 0, g = 0, b = 0, a = 1] = (text.match(/[\d.]+/g) ?? []).map(Number)
      return text.startsWith('color(srgb') ? [r * 255, g * 255, b * 255, a] : [r, g, b, a]
    }
    const over = (top: Colour, under: Colour): Colour => {
      const mix = (i: 0 | 1 | 2): number => top[i] * top[3] + under[i] * (1 - top[3])
      return [mix(0), mix(1), mix(2), 1]
    }
    const ground = (e: Element | null): Colour => {
      if (e === null) return [255, 255, 255, 1]
      const own = colourOf(getComputedStyle(e).backgroundColor)
      return own[3] === 1 ? own : over(own, ground(e.localName === 'dialog' ? null : e.parentElement))
    }
    const light = ([r, g, b]: Colour): number => {
      const [x = 0, y = 0, z = 0] = [r, g, b].map((v) =>
        v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4,
      )
      return 0.2126 * x + 0.7152 * y + 0.0722 * z
    }
    for (const e of all) {
      const hasText = [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent?.trim())
      if (!hasText || e.closest(':disabled, .sr, svg, option')) continue
      const { color, fontSize, fontWeight } = getComputedStyle(e)
      const back = ground(e)
      const [a, b] = [light(over(colourOf(color), back)), light(back)].sort((p, q) => q - p) as [number, number]
      const ratio = (a + 0.05) / (b + 0.05)
      const size = Number.parseFloat(fontSize)
      const isLarge = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700)
      if (ratio < (isLarge ? 3 : 4.5)) found.push(`contrast ${ratio.toFixed(2)}: ${about(e)}`)
    }
    const { scrollWidth, clientWidth } = document.documentElement
    if (scrollWidth > clientWidth) found.push(`${scrollWidth} px wide on ${clientWidth}`)
    return found
  })
