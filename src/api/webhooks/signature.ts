import { createHmac } from 'node:crypto'

export interface SignedMessage {
  readonly id: string
  /** Unix seconds of this attempt. */
  readonly timestamp: number
  readonly body: string
}

const secretBytes = (secret: string): Uint8Array => Buffer.from(secret.replace(/^whsec_/, ''), 'base64')

/**
 * The three headers that prove who sent a message. HMAC-SHA-256 over `id.timestamp.body` with the bytes of the secret, base64, `v1,` before
 * it; during a rotation one signature per live secret, with spaces between. @source Standard Webhooks 1.0, symmetric signatures
 */
export function signedHeaders(message: SignedMessage, secrets: readonly string[]): Readonly<Record<string, string>> {
  const { id, timestamp, body } = message
  const sign = (secret: string): string =>
    `v1,${createHmac('sha256', secretBytes(secret)).update(`${id}.${timestamp}.${body}`).digest('base64')}`
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': secrets.map(sign).join(' '),
  }
}
