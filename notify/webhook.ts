/**
 * A webhook as the Standard Webhooks specification 1.0.0 has it: `webhook-id` is the same for each
 * try, so a receiver drops repeats by it; the timestamp and the signature are of the try.
 */
import { createHmac } from 'node:crypto'
import { post } from './http.ts'
import { eventOf, type Message } from './message.ts'
import { failure, type Outcome } from './outcome.ts'
import type { Target } from './target.ts'
import { linesOf, linksOf, titleOf } from './words.ts'

/** Of a secret: 24 to 64 bytes, says the specification. */
const SECRET_BYTES_MIN = 24
const SECRET_BYTES_MAX = 64

type Webhook = Extract<Target, { channel: 'webhook' }>

interface WebhookOptions {
  /** `whsec_…`, the current one first. All sign, so that a secret can be changed without a gap. */
  secrets: readonly string[]
  webUrl: string | undefined
}

export async function sendWebhook(
  message: Message,
  { url, authorization, isTrusted }: Webhook,
  { secrets, webUrl }: WebhookOptions,
): Promise<Outcome> {
  const body = JSON.stringify(payloadOf(message, webUrl))
  const timestamp = String(Math.floor(Date.now() / 1000))
  const signatures: string[] = []
  for (const secret of secrets) {
    const key = keyOfSecret(secret)
    if (key === undefined) return failure('a signing secret is not whsec_ and 24 to 64 bytes')
    signatures.push(signature(key, `${message.key}.${timestamp}.${body}`))
  }
  const headers = {
    'content-type': 'application/json',
    'webhook-id': message.key,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
    ...(authorization !== undefined && { authorization }),
  }
  return await post({ url, headers, body, isTrusted })
}

function payloadOf(message: Message, webUrl: string | undefined): object {
  const { group, name, severity, at, items, open } = message
  return {
    type: `alert.${eventOf(message)}`,
    timestamp: at,
    data: {
      ...{ group, name, severity, open },
      title: titleOf(message),
      text: linesOf(message).join('\n'),
      links: linksOf(message, webUrl),
      items,
    },
  }
}

function keyOfSecret(secret: string): Buffer | undefined {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  return key.length >= SECRET_BYTES_MIN && key.length <= SECRET_BYTES_MAX ? key : undefined
}

const signature = (key: Buffer, content: string): string =>
  `v1,${createHmac('sha256', key).update(content).digest('base64')}`
