import { keepTimes } from './parts.ts'
import { showShell } from './shell.ts'
import { type SignIn, showSignIn } from './signIn.ts'
import { applyTheme } from './theme.ts'

/* The page: a sign-in, or the dashboard of who is signed in. The key is in the memory of this page and nowhere else. */

const place = document.getElementById('app')!

async function run(): Promise<never> {
  applyTheme()
  keepTimes()
  let why: unknown
  for (;;) {
    const session: SignIn = await showSignIn(place, why)
    why = await showShell(place, session)
  }
}

// A page that the browser froze when its user left must not come back with the key.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload()
})

void run()
