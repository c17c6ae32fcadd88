import { announce, attempt } from './announce.ts'
import { h } from './dom.ts'

/** Browsers may read it later than at the click. */
const READ_BY_MS = 60_000

/** Has the browser save what the SDK fetched, so that the key is in no address. @param what it is, for the message afterwards */
export const save = (name: string, what: string, load: () => Promise<Blob>): Promise<void> =>
  attempt(async () => {
    const url = URL.createObjectURL(await load())
    h('a', { href: url, download: name }).click()
    setTimeout(() => URL.revokeObjectURL(url), READ_BY_MS)
    announce(`${what} saved`, { toast: true, tone: 'good' })
  })
