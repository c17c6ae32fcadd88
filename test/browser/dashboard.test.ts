import { describe, expect, it, vi } from 'vitest'
import { mine, untilFunded } from '../../src/cli/demo/steps.ts'
import { until } from '../../src/cli/demo/wait.ts'
import { barriers, CHROMIUM, readScreen, watch } from './browser.ts'
import { itEndsExpiredKeys, itFollowsItsOwnKey, itListsByKey, itManagesKeys } from './keys.ts'
import {
  itEditsWebhooks,
  itKeepsAlerts,
  itRaisesFees,
  itRunsWebhooks,
  itShowsAlerts,
  itShowsEarnings,
  itShowsTheLog,
} from './operator.ts'
import {
  aliasKnown,
  alice,
  bob,
  carol,
  digits,
  HOSTILE_ALIAS,
  mallory,
  newPage,
  PHONE,
  PICTURES,
  page,
  picture,
  setStage,
  signal,
  signIn,
  viaAlice,
  visit,
  way,
  wrongs,
} from './stage.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

/** What a peer says in an invoice to get its own script into the page. */
const HOSTILE_WORDS = '"><script>alert(2)</script><img src=x onerror=alert(3)><a href="javascript:alert(4)">free</a>'

const VIEWS = [
  'overview',
  'payments',
  'channels',
  'wallet',
  'earnings',
  'network',
  'webhooks',
  'keys',
  'audit',
  'log',
  'node',
]

if (!CHROMIUM) {
  console.warn('LEFT OUT: the dashboard was not opened in a browser, because FULMEN_CHROMIUM names no Chromium')
}

describe.skipIf(!CHROMIUM)('the dashboard in a real browser (left out unless FULMEN_CHROMIUM names one)', () => {
  setStage()

  it('is looked at by a check that sees what keeps people out', async () => {
    await page.goto(way.url)
    await page.getByLabel('API key').waitFor()
    expect(await barriers(page)).toEqual([])
    const found = await page
      .evaluate(() => {
        document.documentElement.style.setProperty('--soft', '#c4beb4')
        document.querySelector('main')?.append(document.createElement('button'))
      })
      .then(() => barriers(page))
    expect(found.map((line) => line.split(/[ :,]/)[0]).toSorted()).toEqual(
      expect.arrayContaining(['contrast', 'no', 'small']),
    )
  })

  it('refuses a key that the node does not know, and says so', async () => {
    await page.goto(way.url)
    for (const [key, words] of [
      ['', 'Paste an API key'],
      ['hunter2', 'it starts with fulmen_'],
      [`fulmen_${'a'.repeat(12)}_${'b'.repeat(64)}`, 'The API key is not known'],
    ] as const) {
      await page.getByLabel('API key').fill(key)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('alert').filter({ hasText: words }).waitFor()
    }
    expect(await barriers(page)).toEqual([])
    // The browser's own line about the 401, and nothing besides.
    expect(wrongs.splice(0).every((line) => line.includes('401'))).toBe(true)
  })

  it('is there after 40 KB, and shows the balances', async () => {
    await page.goto(way.url)
    await page.getByLabel('API key').waitFor()
    const fetched = await page.evaluate(() =>
      [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].map(
        (entry) => (entry as PerformanceResourceTiming).encodedBodySize,
      ),
    )
    await signIn(page, alice.key)
    const { channelLocalMsat, onchainConfirmedSat } = await alice.client.balance()
    // The SDK as a page of one's own would use it; as text, since the test runner rewrites import().
    const nodeId = await page.evaluate(`
      import(document.querySelector('link[href$="client/index.js"]').href)
        .then(({ FulmenClient }) => new FulmenClient({ url: location.origin, key: '${alice.key}' }).node())
        .then((node) => node.nodeId)`)
    expect(nodeId).toBe(alice.nodeId)
    await page.locator('.total').waitFor()
    expect(await digits('.total')).toBe(Math.floor((channelLocalMsat + onchainConfirmedSat * 1000) / 1000))
    await page.getByText('Two tickets for Saturday').waitFor()
    await page.locator('.mini li').nth(1).waitFor()
    await picture(page, 'overview-light')
    await page.emulateMedia({ colorScheme: 'dark' })
    await picture(page, 'overview-dark')
    await page.emulateMedia({ colorScheme: 'light' })
    if (PICTURES) {
      const phone = await newPage(PHONE, 'dark')
      await signIn(phone, alice.key)
      await phone.getByText('Two tickets for Saturday').waitFor()
      await picture(phone, 'phone')
      await phone.context().close()
    }
    expect(fetched.length).toBeGreaterThan(20)
    expect(fetched.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(40_000)
  })

  it('makes an invoice whose QR code others read; the payment shows without being asked for', async () => {
    const before = await digits('.total')
    await page.getByRole('button', { name: 'Receive', exact: true }).click()
    await page.getByLabel('Amount').fill('25 000')
    await page.getByLabel('Description').fill('Sourdough and a coffee')
    await page.getByRole('button', { name: 'Create invoice' }).click()
    const code = page.getByRole('img', { name: 'QR code of the invoice' })
    await code.waitFor()
    const bolt11 = (await readScreen(code))!.toLowerCase()
    const [newest] = (await alice.client.invoices.list({ limit: 1 })).items
    expect(newest).toMatchObject({ bolt11, amountMsat: 25_000_000, description: 'Sourdough and a coffee' })
    expect(await barriers(page)).toEqual([])
    expect((await carol.client.payments.send({ bolt11 }, { wait: 20 })).status).toBe('succeeded')
    await page.locator('.status.good').filter({ hasText: 'Paid' }).waitFor()
    await page
      .locator('#announcer')
      .filter({ hasText: /Received 25\s000 sat: Sourdough|Paid: 25\s000 sat/ })
      .waitFor()
    await page.keyboard.press('Escape')
    await page.locator('.row').filter({ hasText: 'Sourdough and a coffee' }).waitFor()
    await vi.waitFor(async () => expect(await digits('.total')).toBe(before + 25_000), 10_000)
  })

  it('pays only after it has shown what an invoice says, whatever that is', async () => {
    const invoice = await bob.client.invoices.create({ amountMsat: 7_000_000, description: HOSTILE_WORDS })
    await page.getByRole('button', { name: 'Pay', exact: true }).click()
    await page.getByRole('textbox', { name: 'Invoice' }).fill('lnbcrt1nonsense')
    await page.getByRole('button', { name: 'Read invoice' }).click()
    await page.getByRole('alert').filter({ hasText: 'The invoice is not valid' }).waitFor()
    await page.getByRole('textbox', { name: 'Invoice' }).fill(`lightning:${invoice.bolt11}`)
    await page.getByRole('button', { name: 'Read invoice' }).click()
    const confirm = page.getByRole('dialog', { name: 'Confirm payment' })
    await confirm.waitFor()
    expect(await confirm.locator('.said').textContent()).toBe(HOSTILE_WORDS)
    expect(await digits('dialog .headline')).toBe(7_000)
    expect((await bob.client.invoices.get(invoice.paymentHash)).status).toBe('open')
    await confirm.getByRole('button', { name: /^Pay 7/ }).click()
    await page.locator('.status.good').filter({ hasText: 'Paid' }).waitFor()
    expect((await bob.client.invoices.get(invoice.paymentHash)).status).toBe('settled')
    await page.getByRole('button', { name: 'Done' }).click()
    await page.locator('.row').filter({ hasText: 'to bob' }).first().waitFor()
    expect(wrongs.filter((line) => !/400/.test(line))).toEqual([])
    wrongs.splice(0)
  })

  it('shows forwards as they happen, also those from a time without connection', async () => {
    await visit(page, 'payments')
    await page.getByRole('tab', { name: 'Forwarded' }).click()
    const rows = page.getByRole('tabpanel').locator('.row')
    const before = await rows.count()
    await viaAlice(600_000)
    await vi.waitFor(async () => expect(await rows.count()).toBe(before + 1), 10_000)
    expect(await rows.first().textContent()).toMatch(/Forwarded.*carol → bob/)

    await way.cut()
    await page.getByText('No connection').waitFor()
    for (const sat of [21_000, 22_000, 23_000]) await viaAlice(sat)
    expect(await rows.count()).toBe(before + 1)
    await way.mend()
    await vi.waitFor(async () => expect(await rows.count()).toBe(before + 4), 10_000)
    expect((await rows.allTextContents()).slice(0, 3).map((text) => /· ([\d\s]+) sat/.exec(text)?.[1])).toEqual(
      ['23', '22', '21'].map((thousands) => `${thousands}\u202f000`),
    )
    await page.getByText('Live', { exact: true }).waitFor()
    expect(wrongs.splice(0).filter((line) => !/ERR_(CONNECTION|EMPTY|INCOMPLETE)/.test(line))).toEqual([])
  })

  itShowsEarnings()

  it('opens a channel, and shows names of others as text, whatever they are', async () => {
    await visit(page, 'channels')
    await page.getByRole('button', { name: 'Open channel' }).click()
    await page.getByLabel('With', { exact: true }).fill(mallory.uri)
    await page.getByLabel('Capacity').fill('700 000')
    await page.getByRole('dialog').getByRole('button', { name: 'Open channel' }).click()
    await page
      .locator('.channel')
      .filter({ hasText: '700 000'.replace(' ', '\u202f') })
      .waitFor()
    const [channel] = (await alice.client.channels.list({ peer: mallory.nodeId } as object)).items
    await untilFunded(alice, channel!.id, signal)
    await mine([alice, bob, carol, mallory], 8, { signal })
    await aliasKnown(alice, mallory)
    await page.reload()
    await signIn(page, alice.key)
    await visit(page, 'channels')
    await page.getByRole('heading', { name: HOSTILE_ALIAS }).waitFor()
    await visit(page, 'network')
    await page.getByRole('button', { name: HOSTILE_ALIAS }).click()
    await page.locator('.chosen h3').filter({ hasText: HOSTILE_ALIAS }).waitFor()
    await visit(page, 'wallet')
    expect(await page.locator('img, script:not([src]), a[href^="javascript"]').count()).toBe(0)
    expect(wrongs.splice(0)).toEqual([])
  })

  it('closes by force only after the warning has been ticked; together without it', async () => {
    await visit(page, 'channels')
    await page.getByRole('button', { name: 'Close the channel with carol' }).click()
    await page.getByRole('radio', { name: 'By force' }).check()
    await page.getByRole('alert').filter({ hasText: 'A force close costs time and money' }).waitFor()
    const force = page.getByRole('button', { name: 'Force close' })
    expect(await force.isDisabled()).toBe(true)
    await page.getByLabel('I understand').check()
    expect(await force.isDisabled()).toBe(false)
    expect(await barriers(page)).toEqual([])
    await page.getByRole('radio', { name: 'Together with the peer' }).check()
    await page.getByRole('button', { name: 'Close channel', exact: true }).click()
    await page.locator('.channel').filter({ hasText: 'carol' }).getByText('Closing', { exact: true }).waitFor()
    const [channel] = (await alice.client.channels.list({ peer: carol.nodeId } as object)).items
    await until(
      'the close to be on its way',
      async () => ((await alice.client.channels.get(channel!.id)).closing?.how === 'cooperative' ? true : null),
      { signal },
    )
  })

  itRaisesFees()

  it('sends on chain to an address of another node, and shows its own', async () => {
    await visit(page, 'wallet')
    await page.getByRole('button', { name: 'Receive', exact: true }).click()
    const code = page.getByRole('img', { name: 'QR code of the address' })
    await code.waitFor()
    expect((await readScreen(code))!.toLowerCase()).toMatch(/^bitcoin:bcrt1q[a-z0-9]{38}$/)
    await page.keyboard.press('Escape')
    const { address } = await bob.client.wallet.newAddress()
    await page.getByRole('button', { name: 'Send', exact: true }).click()
    await page.getByLabel('Address').fill(address)
    await page.getByLabel(/^Everything/).check()
    expect(await page.getByLabel('Amount').isDisabled()).toBe(true)
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByRole('dialog').getByText(address).waitFor()
    await page.getByRole('button', { name: 'Send everything' }).waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Send', exact: true }).click()
    await page.getByLabel('Address').fill(address)
    await page.getByLabel('Amount').fill('51000')
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByRole('dialog').getByText(address).waitFor()
    await page.getByRole('button', { name: /^Send 51/ }).click()
    await page.getByText('Waits for a block').first().waitFor()
    const [newest] = (await alice.client.wallet.transactions({ limit: 1 })).items
    expect(newest!.netSat).toBe(-51_000 - newest!.feeSat!)
  })

  itRunsWebhooks()

  itEditsWebhooks()

  itShowsAlerts()

  itKeepsAlerts()

  itShowsTheLog()
  itManagesKeys()

  itEndsExpiredKeys()

  itListsByKey()

  itFollowsItsOwnKey()

  it('keeps nobody out: every view, light and dark, at a desk and on a phone', async () => {
    const phone = await newPage(PHONE, 'dark')
    const phoneWrongs = watch(phone, way.url)
    await phone.goto(way.url)
    await phone.getByText('Where is my key?').click()
    expect(await barriers(phone)).toEqual([])
    await signIn(phone, alice.key)
    await phone.locator('.total').waitFor()
    for (const [on, place] of [
      [page, 'desk'],
      [phone, 'phone'],
    ] as const) {
      for (const view of VIEWS) {
        await visit(on, view)
        for (const colorScheme of ['light', 'dark'] as const) {
          await on.emulateMedia({ colorScheme })
          expect([place, view, colorScheme, ...(await barriers(on))]).toEqual([place, view, colorScheme])
        }
      }
    }
    await phone.locator('nav summary').click()
    await phone.getByRole('link', { name: 'Audit' }).last().click()
    await phone.getByRole('heading', { level: 1, name: 'Audit' }).waitFor()
    expect([...phoneWrongs, ...wrongs]).toEqual([])
    await phone.context().close()
  })

  it('is used with the keyboard alone, and the theme that somebody chose stays', async () => {
    await page.emulateMedia({ colorScheme: 'light' })
    await page.getByRole('button', { name: /^Theme/ }).focus()
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
    const light = await ground()
    await page.keyboard.press('Enter')
    await page.keyboard.press('Enter')
    const dark = await ground()
    expect(dark).not.toBe(light)
    await page.goto(`${way.url}/?again`)
    await page.getByLabel('API key').fill(alice.key)
    await page.keyboard.press('Enter')
    await page.locator('.total').waitFor()
    expect(await ground()).toBe(dark)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter') // "Skip to content"
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
    // An alert may stand before it.
    const focused = () => page.evaluate(() => document.activeElement?.textContent)
    for (let n = 0; n < 6 && (await focused()) !== 'Receive'; n++) await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog', { name: 'Receive' }).waitFor()
    expect(await page.evaluate(() => document.activeElement?.closest('dialog') !== null)).toBe(true)
    await page.keyboard.press('Escape')
    expect(await focused()).toBe('Receive')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('API key').waitFor()
    expect(wrongs.splice(0)).toEqual([])
  })
})
