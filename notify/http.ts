/**
 * A POST to somebody else's server: bounded in time and in what is read, and never led elsewhere.
 * By node:http, because its lookup is ours: fetch() asks the name servers itself.
 */
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { lookupPublic, PrivateAddressError, refusePrivateHost } from './address.ts'
import { DELIVERED, failure, type Outcome } from './outcome.ts'

/** One try, from the lookup to the end of the answer. Standard Webhooks asks for 15 to 30 s. */
export const TRY_MS_MAX = 15_000
/** Of the answer; it is read for its words only. */
const ANSWER_BYTES_MAX = 4096
/** A receiver may send us away for so long. */
const RETRY_AFTER_MS_MAX = 3_600_000

export interface Post {
  /** http(s), without credentials in it. */
  url: URL
  headers: Record<string, string>
  body: string
  /** Whether the operator named the URL: then it may lead inside. */
  isTrusted: boolean
}

/** Posts once. Never rejects: what went wrong is the outcome. */
export async function post(options: Post, tryMs = TRY_MS_MAX): Promise<Outcome> {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), tryMs)
  try {
    const response = await answerTo(options, stop.signal)
    return outcomeOf(response, await startOf(response))
  } catch (error) {
    if (error instanceof PrivateAddressError) return failure(error.message, { isFinal: true })
    if (stop.signal.aborted) return failure(`no answer within ${tryMs / 1000} s`)
    return failure(error instanceof Error ? error.message : String(error))
  } finally {
    clearTimeout(timer)
    stop.abort()
  }
}

function answerTo(options: Post, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, headers, body, isTrusted } = options
  return new Promise((resolve, reject) => {
    if (!isTrusted) refusePrivateHost(url.hostname)
    const request = url.protocol === 'https:' ? requestHttps : requestHttp
    const sent = request(url, {
      method: 'POST',
      headers: {
        ...headers,
        'content-length': String(Buffer.byteLength(body)),
        'user-agent': 'shelf',
      },
      // A connection of its own: one that was kept may be broken, or lead where the name once led.
      agent: false,
      signal,
      ...(isTrusted ? {} : { lookup: lookupPublic }),
    })
    sent.on('response', resolve)
    sent.on('error', reject)
    sent.end(body)
  })
}

async function startOf(response: IncomingMessage): Promise<string> {
  let text = ''
  try {
    for await (const chunk of response) {
      text += String(chunk)
      if (text.length >= ANSWER_BYTES_MAX) break
    }
  } catch {
    // The status came, and it decides.
  }
  response.destroy()
  return text
}

/** 408, 429 and 5xx may pass; a redirect is a wrong URL, and what else is refused stays refused. */
function outcomeOf(response: IncomingMessage, text: string): Outcome {
  const { statusCode: status = 0, headers } = response
  if (status >= 200 && status < 300) return DELIVERED
  if (status >= 300 && status < 400) {
    return failure(`${status}: redirects are not followed, give the URL itself`, { isFinal: true })
  }
  const mayPass = status === 408 || status === 429 || status >= 500
  const retryAfterMs = retryAfter(headers['retry-after'])
  return failure(`${status} ${text}`, {
    isFinal: !mayPass,
    ...(mayPass && retryAfterMs !== undefined && { retryAfterMs }),
  })
}

/** Seconds, or an HTTP date (RFC 9110, 10.2.3), as ms from now. */
export function retryAfter(header: string | undefined, nowMs = Date.now()): number | undefined {
  if (header === undefined) return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX)
}
