import { announce, attempt } from './announce.ts'
import { h } from './dom.ts'

/** Has the browser save what the SDK fetched, so that the key is in no address. @param what it is, for the message afterwards */
export const save = (name: string, what: string, load: () => Promise<Blob>): Promise<void> =>
  attempt(async () => {
    const url = URL.createObjectURL(await load())
    h('a', { href: url, download: name }).click()
    URL.revokeObjectURL(url)
    announce(`${what} saved`, { toast: true, tone: 'good' })
  })
