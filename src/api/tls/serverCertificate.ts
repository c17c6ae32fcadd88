import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TlsConfig } from '../../node/access.ts'
import { ConfigError } from '../../node/errors.ts'
import { writeFileAtomic } from '../../store/files.ts'
import { isStale, newKey, pinOf, selfSigned } from './certificate.ts'

/** PEM, as node:tls takes it. */
export interface ServerCertificate {
  readonly cert: string
  readonly key: string
}

/** Where the certificate of the API comes from. */
export interface CertificateSource {
  /** The one to serve now; one of our own is made, or made anew, when it is time. @throws ConfigError */
  load(): Promise<ServerCertificate>
  /** How often it is looked whether there is another. */
  readonly everyMs: number
}

const FILES_MS = 5_000
const OWN_MS = 3_600_000

/** As a certificate writes it: no port, IPv6 without brackets. */
const bareName = (name: string): string =>
  name.startsWith('[') ? name.slice(1, name.indexOf(']')) : name.replace(/^([^:]*):\d*$/, '$1')

export const tlsDirectory = (dataDir: string): string => join(dataDir, 'tls')

/** @param names by which clients may call, besides the loopback ones; IPv6 with or without brackets */
export function certificateSource(
  tls: TlsConfig,
  { dataDir, names, now = Date.now }: { dataDir: string; names: readonly string[]; now?: () => number },
): CertificateSource {
  if (tls.kind === 'files') return { load: () => givenCertificate(tls.cert, tls.key), everyMs: FILES_MS }
  const all = new Set(['localhost', '127.0.0.1', '::1', ...names.map(bareName)])
  for (const anywhere of ['0.0.0.0', '::']) all.delete(anywhere)
  return { load: () => ownCertificate(tlsDirectory(dataDir), [...all], now()), everyMs: OWN_MS }
}

async function givenCertificate(certPath: string, keyPath: string): Promise<ServerCertificate> {
  const cert = await read(certPath)
  const key = await read(keyPath)
  try {
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return { cert, key }
  } catch (error) {
    throw new ConfigError(
      `tls-cert, tls-key: ${certPath} or ${keyPath} is no PEM that can be read (${messageOf(error)})`,
    )
  }
  throw new ConfigError(`tls-cert, tls-key: the key in ${keyPath} is not the one of the certificate in ${certPath}`)
}

/** The key stays as long as its file: clients pin it. */
async function ownCertificate(directory: string, names: readonly string[], now: number): Promise<ServerCertificate> {
  const [certPath, keyPath] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  let key = await readIfThere(keyPath)
  if (key === null) {
    key = newKey()
    await writeFileAtomic(keyPath, key)
  }
  const pair = keyPair(key, keyPath)
  const cert = await readIfThere(certPath)
  if (cert !== null && !isStale(cert, pair.privateKey, names, now)) return { cert, key }
  const renewed = selfSigned(pair, names, now)
  await writeFileAtomic(certPath, renewed)
  return { cert: renewed, key }
}

function keyPair(pem: string, path: string) {
  try {
    const privateKey = createPrivateKey(pem)
    return { privateKey, publicKey: createPublicKey(privateKey) }
  } catch (error) {
    throw new ConfigError(
      `${path} cannot be read (${messageOf(error)}): restore it, or delete it and give clients the new pin that the next start prints`,
    )
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const read = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((error: Error) => {
    throw new ConfigError(`tls-cert, tls-key: ${path} cannot be read (${error.message})`)
  })

const readIfThere = (path: string): Promise<string | null> =>
  readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw new ConfigError(`${path} cannot be read (${error.message})`)
  })

/** The certificate in force, and the change to the next one while connections stay open. */
export class LiveCertificate {
  readonly #source: CertificateSource
  #current: ServerCertificate
  #timer: NodeJS.Timeout | undefined
  #failed = ''

  private constructor(source: CertificateSource, current: ServerCertificate) {
    this.#source = source
    this.#current = current
  }

  /** @throws ConfigError */
  static async open(source: CertificateSource): Promise<LiveCertificate> {
    return new LiveCertificate(source, await source.load())
  }

  get current(): ServerCertificate {
    return this.#current
  }

  get pin(): string {
    return pinOf(this.#current.cert)
  }

  /** @param apply takes a new certificate, with its pin @param onError hears, once, why the one before stays in force */
  watch(
    apply: (next: ServerCertificate, pin: string) => Promise<void>,
    onError: (error: unknown) => void,
  ): () => Promise<void> {
    const look = async (): Promise<void> => {
      try {
        const next = await this.#source.load()
        if (next.cert !== this.#current.cert || next.key !== this.#current.key) await apply(next, pinOf(next.cert))
        // What could not be applied is tried again, and is not taken for what is served.
        this.#current = next
        this.#failed = ''
      } catch (error) {
        if (messageOf(error) !== this.#failed) onError(error)
        this.#failed = messageOf(error)
      }
    }
    // One after another: what an earlier look has read would take the place of what a later one did.
    let last = Promise.resolve()
    const lookInTurn = (): Promise<void> => {
      last = last.then(look)
      return last
    }
    this.#timer = setInterval(() => void lookInTurn(), this.#source.everyMs).unref()
    return lookInTurn
  }

  close(): void {
    clearInterval(this.#timer)
  }
}
