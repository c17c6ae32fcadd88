import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, vi } from 'vitest'
import { type DemoNode, startChain, startOne } from '../../src/cli/demo/network.ts'
import { fund, mine, untilFunded, untilRoute } from '../../src/cli/demo/steps.ts'
import { until } from '../../src/cli/demo/wait.ts'
import type { Spawned } from '../../src/cli/processes.ts'
import { buildProgram } from '../e2e/program.ts'
import { CHROMIUM, startBrowser, type Way, watch, wayTo } from './browser.ts'

/* What the tests of the dashboard share: four nodes with channels and a past, a browser, and a page on alice's node. */

export const { signal } = new AbortController()

/** Where to put pictures for the docs: FULMEN_SCREENSHOTS=docs/screenshots npx vitest run test/browser */
export const PICTURES = process.env.FULMEN_SCREENSHOTS
export const PHONE = { width: 360, height: 740 }
/** What a peer calls itself to get its own script into the page. An alias has 32 bytes. */
export const HOSTILE_ALIAS = '<img src=x onerror=alert(1)>'

export let [alice, bob, carol, mallory] = [] as unknown as [DemoNode, DemoNode, DemoNode, DemoNode]
/** To alice's node. */
export let way: Way
export let page: Page
/** What the page did that it should not. */
export let wrongs: string[] = []
let browser: Browser
let directory = ''
const spawned: Spawned[] = []

const open = async (from: DemoNode, to: DemoNode, capacitySat: number, pushSat: number): Promise<void> => {
  const request = { peer: to.uri, capacitySat, pushMsat: pushSat * 1000, announce: true }
  await untilFunded(from, (await from.client.channels.open(request)).id, signal)
}
export const pay = async (from: DemoNode, to: DemoNode, sat: number, description: string): Promise<void> => {
  const { bolt11 } = await to.client.invoices.create({ amountMsat: sat * 1000, description })
  expect((await from.client.payments.send({ bolt11 }, { wait: 20 })).status).toBe('succeeded')
}
export const aliasKnown = (to: DemoNode, of: DemoNode) =>
  until(
    `${to.name} to know the alias of ${of.name}`,
    async () =>
      (await to.client.graph.nodes()).items.some((n) => n.nodeId === of.nodeId && n.alias !== '') ? true : null,
    { signal },
  )

/** More than carol has on her side of the channel with bob: alice forwards some of it, or all. */
export const viaAlice = (sat: number): Promise<void> => pay(carol, bob, sat, 'over alice')

export const newPage = async (
  size = { width: 1200, height: 780 },
  colorScheme: 'light' | 'dark' = 'light',
): Promise<Page> => {
  const context = await browser.newContext({ viewport: size, colorScheme })
  const made = await context.newPage()
  made.setDefaultTimeout(15_000)
  return made
}
export const signIn = async (on: Page, key: string, url = way.url): Promise<void> => {
  await on.goto(url)
  await on.getByLabel('API key').fill(key)
  await on.getByRole('button', { name: 'Sign in' }).click()
  await on.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
}
/** By the address, as a link does; on a phone some links are in a menu. */
export const visit = async (on: Page, route: string): Promise<void> => {
  await on.evaluate((to) => {
    location.hash = `#/${to}`
  }, route)
  await on.locator(`.view.${route}`).waitFor()
  await vi.waitFor(async () => expect(await on.locator('main [aria-busy]').count()).toBe(0), 15_000)
}
export const digits = async (of: string): Promise<number> =>
  Number((await page.locator(of).first().textContent())?.replace(/\D/g, ''))
export const picture = async (of: Page, name: string): Promise<void> => {
  if (PICTURES) await of.screenshot({ path: join(PICTURES, `${name}.png`) })
}

/** Puts it all up before the tests of this file, and away after them. */
export function setStage(): void {
  beforeAll(async () => {
    const main = buildProgram('dashboard')
    directory = mkdtempSync(join(tmpdir(), 'fulmen-test-'))
    const chain = await startChain(directory, spawned, main)
    const options = ['--webhook-targets', 'loopback']
    const start = (name: string) =>
      startOne({ name, directory, chain, spawned, main, ...(name === 'mallory' && { alias: HOSTILE_ALIAS }), options })
    ;[browser, alice, bob, carol, mallory] = await Promise.all([
      startBrowser(CHROMIUM!),
      ...(['alice', 'bob', 'carol', 'mallory'] as const).map(start),
    ] as [Promise<Browser>, Promise<DemoNode>, Promise<DemoNode>, Promise<DemoNode>, Promise<DemoNode>])
    const all = [alice, bob, carol, mallory]
    await fund(all, [bob], 1, signal)
    const shares = [alice, carol, mallory].map(async ({ client }, i) => ({
      address: (await client.wallet.newAddress()).address,
      amountSat: [21_430_000, 6_000_000, 2_000_000][i]!,
    }))
    await bob.client.wallet.send({ outputs: await Promise.all(shares) })
    await mine(all, 1, { signal })
    await open(alice, bob, 5_000_000, 1_300_000)
    await open(carol, alice, 2_500_000, 900_000)
    await open(bob, carol, 3_000_000, 35_000)
    await mine(all, 8, { signal })
    await untilRoute(carol, bob, 10_000_000, signal)
    await untilRoute(bob, alice, 10_000_000, signal)
    await Promise.all([aliasKnown(alice, bob), aliasKnown(alice, carol)])
    await untilRoute(alice, bob, 1_000_000, signal)
    await untilRoute(alice, carol, 1_000_000, signal)
    await pay(alice, carol, 4_200, 'Coffee beans, 500 g')
    await pay(bob, alice, 21_500, 'Two tickets for Saturday')
    await pay(carol, alice, 8_900, 'Lunch')
    await viaAlice(150_000)
    await pay(alice, bob, 42_000, 'Bicycle repair')
    // An alert on bob's node, told of in the last third of the key's life.
    await bob.client.keys.create({
      name: 'till',
      preset: 'readonly',
      expiresAt: new Date(Date.now() + 5_000).toISOString(),
    })
    way = await wayTo(alice.url)
    page = await newPage()
    wrongs = watch(page, way.url)
  })

  afterAll(async () => {
    await browser?.close()
    await way?.cut()
    for (const child of spawned.toReversed()) await child.stop()
    if (directory) rmSync(directory, { recursive: true, force: true })
  })

  // What one test leaves open is not in the way of the next.
  beforeEach(() => page.evaluate(() => document.querySelector('dialog')?.close()))
}
