import { access, constants, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { adminKeyPath } from '../../api/auth/adminKey.ts'
import { type Finding, ok, problem, warning } from '../../api/checks/finding.ts'
import { tlsDirectory } from '../../api/tls/serverCertificate.ts'
import type { NodeConfig } from '../../node/config.ts'
import type { Endpoint } from '../../node/configOptions.ts'
import { seedPath } from '../../node/seed.ts'

const OTHERS = 0o077

/** What is told of a data directory that nobody has started a node in. */
const UNUSED = 'no node was ever started here'

/** The program that runs this. @param wanted as `engines.node` of the package says it, `>=20.19` */
export function runtime(wanted: string, version = process.versions.node): Finding {
  const [major = 0, minor = 0] = wanted.replace(/^>=/, '').split('.').map(Number)
  const [ourMajor = 0, ourMinor = 0] = version.split('.').map(Number)
  if (ourMajor > major || (ourMajor === major && ourMinor >= minor)) return ok('Node.js', version)
  return problem('Node.js', `${version} is too old`, `install Node.js ${wanted.replace('>=', '')} or newer`)
}

/** The data directory and what in it is for its owner alone. */
export async function directory(dataDir: string): Promise<readonly Finding[]> {
  const about = await stat(dataDir).catch((e: NodeJS.ErrnoException) => e)
  if (about instanceof Error) {
    return about.code === 'ENOENT'
      ? [warning('data directory', `${dataDir}: ${UNUSED}`, `fulmen start --data-dir ${dataDir}, or name another`)]
      : [problem('data directory', about.message, `let the user that runs the node read ${dataDir}`)]
  }
  if (!about.isDirectory()) return [problem('data directory', `${dataDir} is no directory`, 'name another: --data-dir')]
  const rights = constants.R_OK | constants.W_OK | constants.X_OK
  const isUsable = await access(dataDir, rights).then(
    () => true,
    () => false,
  )
  if (!isUsable)
    return [problem('data directory', `${dataDir} cannot be written`, `chown it to the user that runs the node`)]
  const found = [
    openToOthers(about.mode)
      ? problem('data directory', `others can look into ${dataDir}`, `chmod 700 ${dataDir}`)
      : ok('data directory', dataDir),
    ...(await ownerOnly('seed', seedPath(dataDir))),
    ...(await ownerOnly('admin key', adminKeyPath(dataDir))),
    ...(await ownerOnly('TLS key', join(tlsDirectory(dataDir), 'key.pem'))),
  ]
  return found
}

const openToOthers = (mode: number): boolean => process.platform !== 'win32' && (mode & OTHERS) !== 0

/** Nothing when there is no such file: whether there should be one is for others to say. */
async function ownerOnly(check: string, path: string): Promise<readonly Finding[]> {
  const about = await stat(path).catch(() => null)
  if (!about) return []
  return openToOthers(about.mode)
    ? [
        problem(
          check,
          `others can read ${path}`,
          `chmod 600 ${path}; if anybody may have read it, see docs/security.md`,
        ),
      ]
    : [ok(check, `${path}, for its owner alone`)]
}

/** While the node is down: whether it will be able to listen where it is told to. */
export async function ports({ api, listen }: Pick<NodeConfig, 'api' | 'listen'>): Promise<readonly Finding[]> {
  const wanted = [
    ['API port', '--api', api] as const,
    ...(listen ? [['Lightning port', '--listen', listen] as const] : []),
  ]
  return Promise.all(
    wanted.map(async ([check, flag, endpoint]) => {
      const where = `${endpoint.host}:${endpoint.port}`
      const code = await refusal(endpoint)
      if (code === null) return ok(check, `${where} is free`)
      if (code === 'EADDRINUSE')
        return problem(check, `${where} is taken by another program`, `end that one, or choose another with ${flag}`)
      return problem(check, `the node could not listen on ${where} (${code})`, `choose another address with ${flag}`)
    }),
  )
}

const refusal = ({ host, port }: Endpoint): Promise<string | null> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)))
  })
