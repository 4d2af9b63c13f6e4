/** The drain of Heroku's Logplex: a body of frames becomes one burst. */
import { sha256 } from '@noble/hashes/sha2.js'
import * as z from 'zod'
import type { Burst } from '../../core/burst.ts'
import { cutFrames } from '../../core/frames.ts'
import { HerokuBody } from './heroku-body.ts'
import type { HashUser } from './heroku-signals.ts'

export const HEROKU = 'heroku'

const encoder = new TextEncoder()

/** Logplex holds 1,024 messages for a drain, and puts an L10 line before them. */
const MESSAGES_MAX = 1025

const shortText = z.string().max(128).catch('')

const headersSchema = z.object({
  frameId: shortText,
  drainToken: shortText,
  /** lpxgen sends one that can't be read: then there is none. */
  messages: z.coerce.number().int().min(0).max(MESSAGES_MAX).catch(0),
})

export type LogplexHeaders = z.infer<typeof headersSchema>

export function logplexHeaders(headers: Headers): LogplexHeaders {
  return headersSchema.parse({
    frameId: headers.get('logplex-frame-id') ?? '',
    drainToken: headers.get('logplex-drain-token') ?? '',
    messages: headers.get('logplex-msg-count') ?? '',
  })
}

/**
 * 16 bytes that are the same for each try of a frame, as hex. Logplex resends under one Frame-Id,
 * with a body that may differ. A sender without Frame-Ids (log-shuttle) resends the same body.
 */
function burstId(app: string, headers: LogplexHeaders, body: Uint8Array): string {
  const { drainToken, frameId } = headers
  return burstIdOf(`${app}\n${drainToken}\n${frameId}`, frameId === '' ? body : new Uint8Array())
}

/** A hash of nothing, what it is copied into, and where the digest goes: to make them takes longer than to hash. */
const NOTHING = sha256.create()
const hash = sha256.create()
const digest = new Uint8Array(hash.outputLen)

/**
 * The first 16 bytes of SHA-256 over a name and bytes, as hex. At once: WebCrypto's promise took up to
 * a third of reading 100 lines in Bun.
 */
export function burstIdOf(name: string, bytes: Uint8Array): string {
  NOTHING._cloneInto(hash).update(encoder.encode(name)).update(bytes).digestInto(digest)
  return digest.subarray(0, 16).toHex()
}

/** The burst of one request. Reads whatever it is given; what can't be read is counted. */
export async function herokuBurst(
  app: string,
  headers: LogplexHeaders,
  body: Uint8Array,
  receivedAtMs: number,
  hashUser: HashUser,
): Promise<Burst> {
  const read = new HerokuBody(body, receivedAtMs)
  const cut = cutFrames(body, (start, end) => read.take(start, end))
  // Where the framing broke, or nothing came, the count tells how many messages we did not see.
  const broken = cut.malformed > 0 || body.length === 0
  const unseen = broken ? headers.messages - cut.frames - cut.malformed : 0
  read.malformed(cut.malformed + Math.max(0, unseen))
  return {
    id: burstId(app, headers, body),
    app,
    drain: HEROKU,
    receivedAtMs,
    ledger: read.ledger,
    requests: read.requests.finish(),
    signals: await read.signals.finish(hashUser),
  }
}
