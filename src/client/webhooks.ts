import type { Event } from '../api/schemas.ts'

/** A message that is not from the node, or not from now: answer it with 400 and believe nothing of it. */
export class WebhookError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'WebhookError'
  }
}

export interface WebhookMessage {
  /** A Headers object, or Node's `request.headers`. */
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>
  /** The body as it came, before any parser: another spacing of the same JSON is another message. */
  readonly body: string | Uint8Array<ArrayBuffer>
}

export interface VerifyOptions {
  /** The receiver's clock may differ by that much, and a recorded message works for so long. Default 300. */
  readonly toleranceSeconds?: number
  /** Unix ms */
  readonly now?: number
}

/** What a webhook brings: `id` of an event rises and is the same when it comes again; it is null for pings and notices. */
export interface VerifiedWebhook extends Event {
  /** The same at every attempt: the name to remember what was handled by. */
  readonly messageId: string
}

const DEFAULT_TOLERANCE_SECONDS = 300

/**
 * Checks that a message comes from the node, and reads it. In Node.js and browsers alike; signatures are compared in constant time by
 * WebCrypto. A message is delivered at least once: keep the messageId, or the highest event id, and skip what was handled.
 * @param secret `whsec_…`, or several while the receiver changes from one to another
 * @throws WebhookError
 */
export async function verifyWebhook(
  secret: string | readonly string[],
  { headers, body }: WebhookMessage,
  { toleranceSeconds = DEFAULT_TOLERANCE_SECONDS, now = Date.now() }: VerifyOptions = {},
): Promise<VerifiedWebhook> {
  const header = (name: string): string => {
    const value = headers instanceof Headers ? headers.get(name) : headers[name]
    if (typeof value !== 'string' || value === '') throw new WebhookError(`the header ${name} is missing`)
    return value
  }
  const messageId = header('webhook-id')
  const timestamp = header('webhook-timestamp')
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(now / 1000 - Number(timestamp)) > toleranceSeconds) {
    throw new WebhookError('the message was signed too long ago, or one of the two clocks is wrong')
  }
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  const prefix = new TextEncoder().encode(`${messageId}.${timestamp}.`)
  const signed = new Uint8Array(prefix.length + bytes.length)
  signed.set(prefix)
  signed.set(bytes, prefix.length)
  const signatures = header('webhook-signature')
    .split(' ')
    .flatMap((text) => (text.startsWith('v1,') ? (fromBase64(text.slice(3)) ?? []) : []))
  for (const one of [secret].flat()) {
    const key = await keyOf(one)
    for (const signature of signatures) {
      if (await crypto.subtle.verify('HMAC', key, signature, signed)) return read(bytes, messageId)
    }
  }
  throw new WebhookError('the signature does not fit: the message is not from this node, or was changed on its way')
}

function read(body: Uint8Array, messageId: string): VerifiedWebhook {
  try {
    return { ...(JSON.parse(new TextDecoder().decode(body)) as Event), messageId }
  } catch {
    throw new WebhookError('the body is not JSON')
  }
}

function keyOf(secret: string): ReturnType<typeof crypto.subtle.importKey> {
  const bytes = fromBase64(secret.replace(/^whsec_/, ''))
  if (bytes === null) throw new WebhookError('the secret is not one of a webhook: it begins with whsec_')
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
    return bytes.length > 0 ? bytes : null
  } catch {
    return null
  }
}
