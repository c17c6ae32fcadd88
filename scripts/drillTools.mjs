// What the compose drills have in common.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const ROOT = new URL('..', import.meta.url).pathname
const LIMIT_MS = 180_000

const run = promisify(execFile)
/** A docker command line; what it prints, or rejects with it. */
export const docker = async (args, env = {}) => {
  const { stdout } = await run('docker', args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout.trim()
}

/**
 * A project of docker-compose.yml's.
 * @param env what its `${…}` stand for
 */
export function project(name, profile, env = {}) {
  const compose = (...args) => docker(['compose', '-p', name, '--profile', profile, ...args], env)
  /** A command line of a node, which goes over its REST API. */
  const fulmen = async (service, ...args) =>
    JSON.parse(await compose('exec', '-T', service, 'node', '/app/dist/cli/main.js', ...args, '--json'))
  return { name, compose, fulmen }
}

export const say = (text) => console.log(`compose drill: ${text}`)
export const check = (isRight, what) => {
  if (!isRight) throw new Error(what)
  say(what)
}
export async function until(what, look) {
  for (const end = Date.now() + LIMIT_MS; ; ) {
    const found = await look().catch(() => null) // a container may be on its way up
    if (found) return found
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

/** What the containers have to say, when something went wrong. */
export async function showState({ compose }) {
  console.error(await compose('ps', '-a').catch(() => ''))
  console.error(await compose('logs', '--tail', '30').catch(() => ''))
}
export const checkNothingIsLeft = async ({ name }) =>
  check((await docker(['volume', 'ls', '-q', '--filter', `name=${name}_`])) === '', `down -v leaves nothing of ${name}`)
