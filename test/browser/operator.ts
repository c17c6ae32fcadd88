import { readFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, vi } from 'vitest'
import { verifyWebhook } from '../../src/client/webhooks.ts'
import { barriers, watch } from './browser.ts'
import { alice, bob, carol, newPage, PHONE, page, pay, signIn, viaAlice, visit, way, wrongs } from './stage.ts'

/* What those who run a node do in the dashboard; each is one test of dashboard.test.ts, which puts them in their order. */

export function itShowsEarnings(): void {
  it('adds up what the node earned as it earns it, and saves it as CSV with the key in no address', async () => {
    await visit(page, 'earnings')
    const figure = (name: string) =>
      page
        .locator('.figures > div')
        .filter({ has: page.getByText(name, { exact: true }) })
        .locator('.amount')
        .textContent()
    const agree = async (): Promise<void> => {
      const { forwards, payments } = await alice.client.analytics.summary()
      expect(forwards.feeMsat).toBeGreaterThan(0)
      const shown = await Promise.all(['Fees earned', 'Fees paid', 'Forwarded', 'Received'].map(figure))
      const whole = [Math.floor(forwards.amountOutMsat / 1000), Math.floor(payments.receivedMsat / 1000)]
      expect(shown).toEqual([forwards.feeMsat / 1000, payments.feeMsat / 1000, ...whole].map((sat) => `${sat} sat`))
    }
    await agree()
    const { forwards: before } = await alice.client.analytics.summary()
    await viaAlice(31_000)
    await vi.waitFor(async () => {
      await agree()
      const { settled } = (await alice.client.analytics.summary()).forwards
      expect(settled).toBe(before.settled + 1)
      await page.getByText(`${settled} forwards`).waitFor()
    }, 10_000)

    const bars = page.locator('.chart rect')
    expect(await bars.count()).toBe(30)
    await page.getByLabel('Period').selectOption('Last 7 days')
    await vi.waitFor(async () => expect(await bars.count()).toBe(7), 5_000)
    await page.getByLabel('Show').selectOption('Fees earned')
    const picture = page.getByRole('img', { name: /^Fees earned, .* sat in all, most on/ })
    await picture.hover({ position: { x: (await picture.boundingBox())!.width - 5, y: 20 } })
    const { feeMsat } = (await alice.client.analytics.summary()).forwards
    await page
      .locator('.chart .detail')
      .filter({ hasText: `: ${feeMsat / 1000} sat` })
      .first()
      .waitFor()
    await page.getByText('As a table').click()
    expect(await page.getByRole('region', { name: 'By day' }).locator('tbody tr').count()).toBe(1)
    await page.getByRole('region', { name: 'Profit of each channel' }).getByText('bob', { exact: true }).waitFor()
    expect(await barriers(page)).toEqual([])
    await page.getByLabel('Period').selectOption('All time')
    await vi.waitFor(async () => expect(await bars.count()).toBe(1), 5_000)
    await picture.waitFor()
    await page.getByLabel('Period').selectOption('Last 7 days')
    await vi.waitFor(async () => expect(await bars.count()).toBe(7), 5_000)

    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save them as CSV' }).click(),
    ])
    expect(file.suggestedFilename()).toBe('forwards-by-day.csv')
    const wanted = await alice.client.csv('analytics/forwards', { period: 'day' })
    expect(readFileSync(await file.path(), 'utf8')).toBe(await wanted.text())
    expect(wrongs.splice(0).filter((line) => !line.includes('blob:'))).toEqual([])
  })
}

export function itRaisesFees(): void {
  it('raises the fee of a close that waits for a block, and offers it for no other channel', async () => {
    await visit(page, 'channels')
    const fees = async () => {
      const [channel] = (await alice.client.channels.list({ peer: carol.nodeId })).items
      return channel!.closing!.transactions.map(({ feeSat }) => feeSat)
    }
    const before = (await fees())[0]!
    const raise = page.getByRole('button', { name: /^Raise the fee of closing/ })
    await raise.waitFor()
    expect(await raise.evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')))).toEqual([
      'Raise the fee of closing the channel with carol',
    ])
    await raise.click()
    const act = page.getByRole('dialog').getByRole('button', { name: 'Raise the fee' })
    await page.getByLabel('Fee rate').fill('1')
    await act.click()
    await page
      .getByRole('alert')
      .filter({ hasText: `a fee of ${before} sat is offered already` })
      .waitFor()
    expect(await barriers(page)).toEqual([])
    await page.getByLabel('Fee rate').fill('40')
    await act.click()
    await vi.waitFor(async () => expect((await fees())[0]).toBeGreaterThan(2 * before), 10_000)
    expect(wrongs.splice(0).filter((line) => !/4\d\d/.test(line))).toEqual([])
  })
}

interface Posted {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A receiver of webhooks that answers as it is told. */
async function receiver(): Promise<{ server: Server; url: string; posted: Posted[]; answer: { status: number } }> {
  const [posted, answer] = [[] as Posted[], { status: 204 }]
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      posted.push({ headers: request.headers, body: Buffer.concat(parts).toString() })
      response.writeHead(answer.status).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`, posted, answer }
}

export function itRunsWebhooks(): void {
  it('makes, pings, rotates, switches and deletes webhooks, and sends again what was delivered', async () => {
    const { server, url, posted, answer } = await receiver()
    const secret = async (): Promise<string> => {
      const text = (await page.locator('dialog .copy-box code').textContent())!
      await page.getByRole('button', { name: 'I have saved it' }).click()
      return text
    }
    const arrives = async (count: number): Promise<Posted> => {
      await vi.waitFor(() => expect(posted.length).toBe(count), 10_000)
      return posted.at(-1)!
    }
    try {
      await visit(page, 'webhooks')
      await page.getByText('No webhooks yet').waitFor()
      await page.getByRole('button', { name: 'Create webhook' }).click()
      await page.getByLabel('Address').fill(url)
      await page.getByLabel('Name').fill('Shop')
      await page.getByLabel('Invoices').check()
      expect(await barriers(page)).toEqual([])
      await page.getByRole('dialog').getByRole('button', { name: 'Create webhook' }).click()
      const first = await secret()
      const card = page.locator('.keycard').filter({ hasText: 'Shop' })
      await card.getByText('invoice.*').waitFor()
      await page.getByRole('button', { name: 'Ping: Shop' }).click()
      const ping = await arrives(1)
      expect(await verifyWebhook(first, ping)).toMatchObject({ type: 'webhook.ping' })
      await page.locator('.toast').filter({ hasText: 'Ping of Shop: 204' }).waitFor()
      await card.getByText('Delivered').waitFor()

      answer.status = 500
      await page.getByRole('button', { name: 'Ping: Shop' }).click()
      await card.getByText('Refused').waitFor()
      answer.status = 204
      await pay(bob, alice, 1_500, 'Postcards')
      const taken = await arrives(3)
      await page.getByRole('button', { name: 'Deliveries: Shop' }).click()
      const rows = page.getByRole('dialog').locator('.row')
      await rows.filter({ hasText: 'Webhook ping500 after' }).waitFor()
      expect(await barriers(page)).toEqual([])
      await page.getByRole('button', { name: 'Send delivery 3 again' }).click()
      const again = await arrives(4)
      expect([again.headers['webhook-id'], again.body]).toEqual([taken.headers['webhook-id'], taken.body])
      await vi.waitFor(async () => expect(await rows.filter({ hasText: 'Invoice settled204' }).count()).toBe(2), 10_000)
      await page.keyboard.press('Escape')

      await page.getByRole('button', { name: 'Rotate secret: Shop' }).click()
      await page.getByRole('button', { name: 'Rotate', exact: true }).click()
      const second = await secret()
      expect(second).not.toBe(first)
      await page.getByRole('button', { name: 'Ping: Shop' }).click()
      const signedTwice = await arrives(5)
      for (const one of [first, second]) await verifyWebhook(one, signedTwice)

      await page.getByRole('button', { name: 'Turn off: Shop' }).click()
      await card.getByText('Off', { exact: true }).waitFor()
      expect((await alice.client.webhooks.list()).items.map(({ state }) => state)).toEqual(['disabled'])
      await page.getByRole('button', { name: 'Turn on: Shop' }).click()
      await card.getByText('Active', { exact: true }).waitFor()
      await page.getByRole('button', { name: 'Delete: Shop' }).click()
      await page.getByRole('button', { name: 'Delete', exact: true }).click()
      await page.getByText('No webhooks yet').waitFor()
      expect((await alice.client.webhooks.list()).items).toEqual([])
      expect(wrongs.splice(0)).toEqual([])
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })
}

export function itShowsAlerts(): void {
  it('shows an alert on every page until somebody has seen it, and keeps it in the log', async () => {
    const other = await newPage()
    const otherWrongs = watch(other, bob.url)
    await signIn(other, bob.key, bob.url)
    await visit(other, 'wallet')
    const alarm = other.getByRole('link', { name: '1 alert' })
    await alarm.waitFor()
    await visit(other, 'overview')
    await other
      .getByRole('region', { name: 'Alerts' })
      .getByText(/API key (is about to end|has ended)/)
      .waitFor()
    expect(await barriers(other)).toEqual([])
    await alarm.click()
    await other.getByRole('button', { name: 'Mark as seen' }).click()
    await alarm.waitFor({ state: 'hidden' })
    await other.locator('.row').filter({ hasText: 'API key is about to end' }).first().waitFor()
    await visit(other, 'overview')
    expect(await other.getByRole('region', { name: 'Alerts' }).count()).toBe(0)
    expect(otherWrongs).toEqual([])
    await other.context().close()
  })
}

export function itEditsWebhooks(): void {
  it('changes address and events of a webhook, and keeps types that only a program asked for', async () => {
    const [old, next] = [await receiver(), await receiver()]
    const types = ['invoice.*', 'payment.succeeded']
    const { id } = await alice.client.webhooks.create({ url: old.url, name: 'Till', types })
    try {
      await visit(page, 'webhooks')
      const card = page.locator('.keycard').filter({ hasText: 'Till' })
      await page.getByRole('button', { name: 'Edit: Till' }).click()
      const dialog = page.getByRole('dialog', { name: 'Edit Till' })
      expect(await dialog.getByLabel('Address').inputValue()).toBe(old.url)
      expect(await dialog.getByLabel('Invoices').isChecked()).toBe(true)
      expect(await dialog.getByLabel('payment.succeeded').isChecked()).toBe(true)
      expect(await barriers(page)).toEqual([])
      await dialog.getByLabel('Address').fill('http://10.1.2.3/events')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByRole('alert').filter({ hasText: 'expected https' }).waitFor()
      await dialog.getByLabel('Address').fill(next.url)
      await dialog.getByLabel('Name').fill('Kiosk')
      await dialog.getByLabel('Invoices').uncheck()
      await dialog.getByLabel('Channels').check()
      await dialog.getByRole('button', { name: 'Save' }).click()
      await page.locator('.keycard').filter({ hasText: 'Kiosk' }).getByText('channel.*').waitFor()
      await card.waitFor({ state: 'detached' })
      const { url, name, types: kept } = await alice.client.webhooks.get(id)
      expect({ url, name, kept: kept?.toSorted() }).toEqual({
        url: next.url,
        name: 'Kiosk',
        kept: ['channel.*', 'payment.succeeded'],
      })
      await pay(alice, bob, 1_200, 'Stamps')
      await vi.waitFor(() => expect(next.posted.length).toBe(1), 10_000)
      expect(JSON.parse(next.posted[0]!.body)).toMatchObject({ type: 'payment.succeeded' })
      expect(old.posted).toEqual([])
      expect(wrongs.splice(0).filter((line) => !/400/.test(line))).toEqual([])
    } finally {
      await alice.client.webhooks.delete(id)
      for (const { server } of [old, next]) {
        server.close()
        server.closeAllConnections()
      }
    }
  })
}

export function itShowsTheLog(): void {
  it('shows the log as it is written, by part and level, and sets the levels', async () => {
    await visit(page, 'log')
    const before = await alice.client.logLevels()
    const lines = page.locator('section.card').filter({ has: page.getByRole('heading', { name: 'Lines of the log' }) })
    await lines.getByText('the seed is not encrypted').waitFor()
    await lines.getByLabel('Of').selectOption('Payments')
    await lines.getByText('Nothing of this kind').waitFor()
    await lines.getByRole('button', { name: 'Levels…' }).click()
    const dialog = page.getByRole('dialog', { name: 'What is logged' })
    await dialog.getByLabel('Payments').selectOption('Debug')
    expect(await barriers(page)).toEqual([])
    await dialog.getByRole('button', { name: 'Set levels' }).click()
    await dialog.waitFor({ state: 'detached' })
    expect((await alice.client.logLevels()).parts).toMatchObject({ payment: 'debug' })
    await lines.getByLabel('At least').selectOption('Debug')
    await pay(alice, bob, 1_300, 'Envelopes')
    await lines.locator('.row').filter({ hasText: 'payment.succeeded' }).waitFor()
    await lines.getByRole('button', { name: 'Pause' }).click()
    await pay(alice, bob, 1_400, 'Glue')
    await lines.getByRole('button', { name: 'Go on' }).click()
    await vi.waitFor(
      async () => expect(await lines.locator('.row').filter({ hasText: 'payment.succeeded' }).count()).toBe(2),
      10_000,
    )
    expect(await barriers(page)).toEqual([])
    await alice.client.setLogLevels(before)
    expect(wrongs.splice(0)).toEqual([])
  })
}

export function itKeepsAlerts(): void {
  it('shows what is wrong with its cure until it is put right, also to whoever signs in later', async () => {
    const { server, url, answer } = await receiver()
    answer.status = 410 // given up at once
    const { id } = await alice.client.webhooks.create({ url, name: 'Gone', types: ['invoice.*'] })
    try {
      await visit(page, 'log')
      const alerts = page.locator('section.card').filter({ has: page.getByRole('heading', { name: 'Alerts' }) })
      await alice.client.invoices.create({ amountMsat: 1_000, description: 'nothing' })
      await pay(bob, alice, 1_100, 'Paper')
      const row = alerts.locator('.rows > li').filter({ hasText: 'A webhook was given up' })
      await row.getByText(/What to do: see that its receiver works/).waitFor()
      await page.getByRole('link', { name: '1 alert' }).waitFor()
      const late = await newPage(PHONE)
      const lateWrongs = watch(late, way.url)
      await signIn(late, alice.key)
      await late.getByRole('region', { name: 'Alerts' }).getByText('A webhook was given up').waitFor()
      expect(await barriers(late)).toEqual([])
      await visit(late, 'log')
      await late.getByText(/What to do: see that its receiver works/).waitFor()
      expect(await barriers(late)).toEqual([])
      answer.status = 204
      await alice.client.webhooks.update(id, { enabled: true })
      for (const on of [page, late]) {
        await on.getByText('No alerts. Good.').waitFor({ timeout: 30_000 })
        await on.getByText('Alerts that are over').click()
        await on.locator('details .row').filter({ hasText: 'A webhook was given up' }).waitFor()
      }
      expect(await barriers(late)).toEqual([])
      expect([...lateWrongs, ...wrongs.splice(0)]).toEqual([])
      await late.context().close()
    } finally {
      await alice.client.webhooks.delete(id)
      server.close()
      server.closeAllConnections()
    }
  })
}
