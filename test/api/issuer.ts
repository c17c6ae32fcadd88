import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWTHeaderParameters, SignJWT } from 'jose'

interface SigningKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly jwk: Record<string, unknown>
}

const newKey = async (kid: string, alg: string): Promise<SigningKey> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

/** An OpenID Connect issuer on loopback: discovery, keys, tokens. */
export class Issuer {
  #server: Server | undefined
  #port = 0
  readonly keys: SigningKey[] = []
  /** Requests for keys. */
  asked = 0
  /** What the discovery document says instead. */
  document: Record<string, unknown> = {}
  /** Overrides the answer with the keys. */
  answer: { status: number; body: string } | undefined

  static async open(...algs: string[]): Promise<Issuer> {
    const issuer = new Issuer()
    for (const alg of algs.length > 0 ? algs : ['ES256']) await issuer.addKey(alg)
    await issuer.start()
    return issuer
  }

  /** On the same port again, after a stop. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      const send = (status: number, body: string) =>
        response.writeHead(status, { 'content-type': 'application/json' }).end(body)
      if (request.url === '/realm/.well-known/openid-configuration') {
        return send(200, JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/keys`, ...this.document }))
      }
      this.asked++
      if (this.answer) return send(this.answer.status, this.answer.body)
      send(200, JSON.stringify({ keys: this.keys.map(({ jwk }) => jwk) }))
    })
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (server.address() as AddressInfo).port
    this.#server = server
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections()
    await new Promise((resolve) => this.#server?.close(resolve))
  }

  close = (): Promise<void> => this.stop()

  get url(): string {
    return `http://127.0.0.1:${this.#port}/realm`
  }

  async addKey(alg = 'ES256'): Promise<SigningKey> {
    const key = await newKey(`k${this.keys.length + 1}`, alg)
    this.keys.push(key)
    return key
  }

  /** A token that is right in everything that `claims`, `header` and `key` do not change. @param now Unix ms */
  async token(
    now: number,
    claims: Readonly<Record<string, unknown>> = {},
    { header = {}, key = this.keys.at(-1)! }: { header?: Partial<JWTHeaderParameters>; key?: SigningKey } = {},
  ): Promise<string> {
    const seconds = Math.floor(now / 1000)
    const usual = { iss: this.url, aud: 'fulmen', sub: 'alice', iat: seconds, exp: seconds + 300, scope: '*' }
    const payload = Object.fromEntries(Object.entries({ ...usual, ...claims }).filter(([, v]) => v !== undefined))
    return new SignJWT(payload)
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
      .sign(key.privateKey)
  }
}
