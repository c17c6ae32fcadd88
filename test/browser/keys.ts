import { expect, it, vi } from 'vitest'
import { mine } from '../../src/cli/demo/steps.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { barriers, watch } from './browser.ts'
import { alice, bob, newPage, page, pay, signal, signIn, visit, way, wrongs } from './stage.ts'

/* What is done with API keys in the dashboard; each is one test of dashboard.test.ts, as in operator.ts. */

export function itManagesKeys(): void {
  it('makes, rotates, rolls back and revokes keys', async () => {
    const works = (key: string) =>
      new FulmenClient({ url: alice.url, key, retries: 0, rotate: false }).keys.self().then(
        ({ version }) => version,
        (e) => e.code,
      )
    const secret = async (): Promise<string> => {
      const text = (await page.locator('dialog .copy-box code').textContent())!
      await page.getByRole('button', { name: 'I have saved it' }).click()
      return text
    }
    await visit(page, 'keys')
    await page.getByRole('button', { name: 'Create key' }).click()
    await page.getByLabel('Name').fill('shop')
    await page.getByRole('radio', { name: 'Receive' }).check()
    await page.getByRole('dialog').getByRole('button', { name: 'Create key' }).click()
    const first = await secret()
    expect(await works(first)).toBe(1)
    await page.getByRole('button', { name: 'Rotate shop' }).click()
    await page.getByRole('button', { name: 'Rotate', exact: true }).click()
    const second = await secret()
    expect([await works(first), await works(second)]).toEqual([2, 2])
    await page.getByRole('button', { name: 'Roll back shop' }).click()
    await page.getByRole('button', { name: 'Roll back', exact: true }).click()
    const card = page.locator('.keycard').filter({ hasText: 'shop' })
    await card.getByText('Version 1, used').waitFor()
    expect([await works(first), await works(second)]).toEqual([1, 1])
    await card.getByText('Versions and usage').click()
    await card.getByText(/\d requests, \d refused/).waitFor()
    expect(await barriers(page)).toEqual([])

    // A key that may receive sees what it may, and nothing of the rest.
    const other = await newPage()
    const otherWrongs = watch(other, way.url)
    await signIn(other, first)
    await other.getByRole('button', { name: 'Receive', exact: true }).waitFor()
    expect(await other.getByRole('button', { name: 'Pay', exact: true }).count()).toBe(0)
    const links = await other.locator('.side nav > ul a').allTextContents()
    expect(links).toEqual(['Overview', 'Payments', 'Earnings', 'Network', 'Webhooks', 'Log', 'Node'])
    await visit(other, 'wallet')
    await other.getByText('It needs the scope wallet:read').waitFor()

    await page.getByRole('button', { name: 'Revoke shop' }).click()
    await page.getByRole('button', { name: 'Revoke', exact: true }).click()
    await other.getByRole('alert').filter({ hasText: 'was stopped' }).waitFor()
    expect(await other.getByLabel('API key').inputValue()).toBe('')
    expect(otherWrongs.filter((line) => !line.includes('401'))).toEqual([])
    await other.context().close()
  })
}

export function itEndsExpiredKeys(): void {
  it('offers to rotate or revoke a key that has expired, as its alert advises', async () => {
    const expiresAt = new Date(Date.now() + 1_000).toISOString()
    const { id } = await alice.client.keys.create({ name: 'till noon', preset: 'readonly', expiresAt })
    await vi.waitFor(async () => expect((await alice.client.keys.get(id)).state).toBe('expired'), 10_000)
    await visit(page, 'overview')
    await visit(page, 'keys')
    const card = page.locator('.keycard').filter({ hasText: 'till noon' })
    await card.getByText('expired', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Rotate till noon' }).waitFor()
    await page.getByRole('button', { name: 'Revoke till noon' }).click()
    await page.getByRole('button', { name: 'Revoke', exact: true }).click()
    await page.getByRole('button', { name: 'Revoke till noon' }).waitFor({ state: 'hidden' })
    expect((await alice.client.keys.get(id)).state).toBe('revoked')
  })
}

export function itListsByKey(): void {
  it('lists what one key asked for, on the days that are chosen', async () => {
    const keyId = alice.key.split('_')[1]!
    await pay(alice, bob, 21, 'By key')
    const rows = page.getByRole('tabpanel').locator('.rows > li')
    await visit(page, 'payments')
    const own = (await alice.client.payments.list({ keyId, limit: 50 })).items.length
    expect(own).toBeGreaterThan(0)
    await page.getByLabel('By').selectOption(keyId)
    await vi.waitFor(async () => expect(await rows.count()).toBe(own), 10_000)
    await pay(alice, bob, 22, 'By key, too')
    await vi.waitFor(async () => expect(await rows.count()).toBe(own + 1), 10_000)
    await page.getByLabel('To', { exact: true }).fill('2020-01-01')
    await page.getByText('None of these then.').waitFor()
    expect(await barriers(page)).toEqual([])
    await visit(page, 'audit')
    await page.getByLabel('From', { exact: true }).fill('2000-01-01')
    await page.getByLabel('By').selectOption(keyId)
    const { items } = await alice.client.audit({ keyId, from: '2000-01-01', limit: 100 })
    await vi.waitFor(async () => expect(await page.locator('.rows > li').count()).toBe(items.length), 10_000)
    expect(await barriers(page)).toEqual([])
  })
}

export function itFollowsItsOwnKey(): void {
  it('goes on with the next version of its own key once its owner has it, and keeps none of them', async () => {
    await visit(page, 'keys')
    await page.getByRole('button', { name: 'Rotate admin' }).click()
    await page.getByLabel('The old version ends').selectOption('at once')
    await page.getByRole('button', { name: 'Rotate', exact: true }).click()
    await page.getByRole('dialog', { name: 'Your key has a new version' }).waitFor()
    const next = (await page.locator('dialog .copy-box code').textContent())!
    expect(next).not.toBe(alice.key)
    await page.keyboard.press('Escape') // does not close it: nobody has said that the key is saved
    await page.getByRole('button', { name: 'I have saved it' }).click()
    await page.getByText('Version 2, used').waitFor()
    Object.assign(alice, { key: next, client: new FulmenClient({ url: alice.url, key: next }) })
    const kept = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state]),
    )
    expect(kept).not.toContain('fulmen_')
    // Events still come: the stream moved over to the new version.
    await visit(page, 'log')
    await mine([alice, bob], 1, { signal })
    const { height } = await alice.client.chain.get()
    await page.getByText(`Block ${height}`, { exact: true }).waitFor()
    expect(wrongs.splice(0).filter((line) => !line.includes('401'))).toEqual([])
  })
}
