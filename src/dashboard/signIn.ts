import type { Key } from '../api/keySchemas.ts'
import { ApiError } from '../client/errors.ts'
import { FulmenClient } from '../client/index.ts'
import { actionForm, field } from './dialog.ts'
import { h, put } from './dom.ts'
import { bolt } from './icons.ts'
import { problemBox } from './parts.ts'
import { showSecret } from './views/keyDialogs.ts'

export interface SignIn {
  readonly client: FulmenClient
  readonly key: Key
  /** Called with each change: whether the node answers. */
  onreach: (answers: boolean) => void
}

/** A client that says whether the node answers, and shows each new version of its own key before it takes it up. */
function session(key: string): { client: FulmenClient; reach: { on: (answers: boolean) => void } } {
  const reach = { on: (_answers: boolean) => {} }
  const client = new FulmenClient({
    url: location.origin,
    key,
    onKey: (next) =>
      showSecret(
        'Your key has a new version',
        next,
        'The key that you signed in with has been rotated. Save the new version: this page goes on with it and forgets it when you leave.',
      ),
    fetch: async (input, init) => {
      try {
        const response = await fetch(input, { ...init, credentials: 'omit', cache: 'no-store', redirect: 'error' })
        reach.on(true)
        return response
      } catch (error) {
        if (!init?.signal?.aborted) reach.on(false)
        throw error
      }
    },
  })
  return { client, reach }
}

/**
 * Asks for a key until one works.
 * @param why the last session ended, if not by sign-out
 */
export function showSignIn(place: HTMLElement, why: unknown): Promise<SignIn> {
  document.title = 'Sign in · Fulmen'
  return new Promise((resolve) => {
    // Without a name the field is in no request that the browser could make by itself.
    const input = h('input', {
      type: 'password',
      autocomplete: 'off',
      spellcheck: false,
      placeholder: 'fulmen_…',
    })
    const run = async (): Promise<void> => {
      const text = input.value.trim()
      if (text === '') throw new RangeError('Paste an API key.')
      // A key of the node, or an access token of its issuer: what else somebody has in the clipboard goes nowhere.
      if (!/^(fulmen_\w+|[\w-]+\.[\w-]+\.[\w-]+)$/.test(text)) {
        throw new RangeError('This is no API key: it starts with fulmen_.')
      }
      const { client, reach } = session(text)
      const key = await client.keys.self()
      input.value = ''
      resolve({
        client,
        key,
        set onreach(listener: (answers: boolean) => void) {
          reach.on = listener
        },
      })
    }
    const why401 = why instanceof ApiError && why.status === 401
    put(
      place,
      h('main', { class: 'sign-in' }, [
        h('div', { class: 'brand' }, bolt(), h('h1', {}, 'Fulmen')),
        h('p', { class: 'detail' }, 'Sign in to your Lightning node with an API key.'),
        why !== undefined && problemBox(why),
        why401 && h('p', { class: 'hint' }, 'Sign in again with a key that works.'),
        actionForm(
          { act: 'Sign in', run },
          field('API key', input, {
            hint: 'It stays in this page, and is gone when you leave or reload.',
          }),
        ),
        h('details', {}, h('summary', {}, 'Where is my key?'), [
          h(
            'p',
            {},
            'The first start of the node wrote one to ',
            h('code', {}, 'admin.key'),
            ' in its data directory:',
          ),
          h('pre', { tabindex: 0 }, 'cat ~/.fulmen/admin.key'),
          h('p', {}, 'A key of its own for this page, without the right to spend:'),
          h('pre', { tabindex: 0 }, 'fulmen key create dashboard --preset readonly'),
        ]),
        h('p', { class: 'detail' }, h('a', { href: '/docs' }, 'API reference')),
      ]),
    )
    input.focus()
  })
}
