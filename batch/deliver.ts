/** Delivers messages to a drain as Logplex does: batches, Frame-Ids, tries, and L10 for the rest. */
import { createHash } from 'node:crypto'
import type { DrainMessage } from './log-text.ts'
import { pause } from './loop.ts'
import { TryAgainError } from './program.ts'

/** What Logplex aims at for a request (http_drain_target_bytes). */
const BATCH_BYTES_MAX = 102_400

/** Its request timeout, its tries (http_frame_retries 2), and the pause before the next. */
const REQUEST_MS_MAX = 5000
const TRIES_MAX = 3
const RETRY_PAUSE_MS = 500

/** A drain that is asked too much of says when to come again, whole seconds; longer is not waited. */
const RETRY_AFTER_SECONDS_MAX = 60

export interface Delivery {
  messages: number
  requests: number
  /** Messages whose request failed for good. The next request tells of them in an L10 line. */
  dropped: number
}

export interface DeliverOptions {
  /** Messages a second; as fast as they are taken where it is not given. */
  rate?: number
  onProgress?: (delivery: Delivery) => void
}

interface Target {
  url: string
  headers: Record<string, string>
}

function targetOf(drainUrl: string): Target {
  const url = new URL(drainUrl)
  const user = decodeURIComponent(url.username)
  const credentials = `${user}:${decodeURIComponent(url.password)}`
  url.username = url.password = ''
  return {
    url: url.href,
    headers: {
      authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
      'content-type': 'application/logplex-1',
      'logplex-drain-token': `d.${md5(user)}`,
      'user-agent': 'Logplex/shelf-send',
    },
  }
}

const md5 = (text: string | Uint8Array): string => createHash('md5').update(text).digest('hex')

/** `<octets> <message>`, one behind the other. */
export function frameBody(messages: readonly DrainMessage[]): Buffer<ArrayBuffer> {
  return Buffer.concat(messages.flatMap((message) => [Buffer.from(`${message.length} `), message]))
}

/** Messages in batches of at most 100 KiB; a larger one goes alone. */
export function* batches(messages: readonly DrainMessage[]): Generator<DrainMessage[]> {
  let batch: DrainMessage[] = []
  let bytes = 0
  for (const message of messages) {
    const size = message.length + String(message.length).length + 1
    if (bytes > 0 && bytes + size > BATCH_BYTES_MAX) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(message)
    bytes += size
  }
  if (batch.length > 0) yield batch
}

/**
 * Sends all messages, one request at a time. The Frame-Id comes from what is sent, so the same
 * messages sent again are known as the same.
 * @throws TryAgainError where nobody answers; Error where the drain refuses us
 */
export async function deliver(
  drainUrl: string,
  messages: readonly DrainMessage[],
  signal: AbortSignal,
  { rate, onProgress }: DeliverOptions = {},
): Promise<Delivery> {
  const target = targetOf(drainUrl)
  const delivery: Delivery = { messages: 0, requests: 0, dropped: 0 }
  const startMs = Date.now()
  let untold = 0
  let index = 0
  for (const batch of batches(messages)) {
    if (signal.aborted) break
    if (rate !== undefined) {
      const dueMs = startMs + (delivery.messages / rate) * 1000
      await pause(Math.max(0, dueMs - Date.now()), signal)
    }
    const frameId = md5(Buffer.concat([Buffer.from(`${index++}\n`), frameBody(batch)]))
    const loss = untold > 0 ? [overflowMessage(untold, startMs)] : []
    const sent = await post(target, frameId.toUpperCase(), [...loss, ...batch], signal)
    if (sent) untold = 0
    else untold += batch.length
    delivery.dropped += sent ? 0 : batch.length
    delivery.messages += batch.length
    delivery.requests += 1
    onProgress?.(delivery)
  }
  return delivery
}

/** Logplex's own words for what it dropped; they have no newline. */
function overflowMessage(dropped: number, sinceMs: number): DrainMessage {
  const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}+00:00`
  return Buffer.from(
    `<172>1 ${iso(Date.now())} host heroku logplex - Error L10 (output buffer overflow): ` +
      `${dropped} messages dropped since ${iso(sinceMs)}.`,
  )
}

/** @returns whether it was taken; false after the last try */
async function post(
  target: Target,
  frameId: string,
  messages: readonly DrainMessage[],
  signal: AbortSignal,
): Promise<boolean> {
  const headers = {
    ...target.headers,
    'logplex-frame-id': frameId,
    'logplex-msg-count': String(messages.length),
  }
  const body = frameBody(messages)
  let unreachable = ''
  let pauseMs = 0
  for (let tries = 1; tries <= TRIES_MAX; tries++) {
    await pause(pauseMs, signal)
    pauseMs = RETRY_PAUSE_MS
    if (signal.aborted) break
    try {
      const timeout = AbortSignal.timeout(REQUEST_MS_MAX)
      const response = await fetch(target.url, {
        method: 'POST',
        headers,
        body,
        signal: timeout,
        // Followed, a POST becomes a GET, and its answer would pass for the drain's.
        redirect: 'manual',
      })
      if (response.ok) return true
      requireNoRedirect(response)
      unreachable = ''
      pauseMs = Math.max(RETRY_PAUSE_MS, retryAfterMs(response))
      if (response.status >= 400 && response.status < 500 && response.status !== 429) {
        throw new RefusedError(`the drain refused us: ${response.status} ${await response.text()}`)
      }
    } catch (error) {
      if (error instanceof RefusedError) throw error
      unreachable = error instanceof Error ? error.message : String(error)
    }
  }
  if (unreachable !== '') throw new TryAgainError(`nobody answers at ${target.url}: ${unreachable}`)
  return false
}

function requireNoRedirect({ status, headers }: Response): void {
  if (status < 300 || status >= 400) return
  const where = headers.get('location') ?? 'nowhere'
  throw new RefusedError(
    `the drain sent us elsewhere: ${status} to ${where}; give that URL instead`,
  )
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? 0)
  return Number.isNaN(seconds) ? 0 : Math.min(seconds, RETRY_AFTER_SECONDS_MAX) * 1000
}

class RefusedError extends Error {
  override name = 'RefusedError'
}
