/**
 * A log behind the REST dialect, as the batch programs use it: every call has a deadline, reads
 * are tried again, and appends never are, because only the caller knows how to resend.
 */

import type { z } from 'zod'
import {
  appendedAnswer,
  errorAnswer,
  fetchedAnswer,
  offsetsAnswer,
  topicsAnswer,
  WAIT_MS_MAX,
} from './dialect.ts'
import { codeOfStatus, LogError } from './error.ts'
import type { Log } from './log.ts'

/** For an answer, beyond the wait that a read asks for: a broker behind a stalled disk. */
const ANSWER_MS_DEFAULT = 10_000
/** Tries of a read, and the pause before the second; each further one is doubled: 3 s in all. */
const TRIES_MAX = 5
const PAUSE_MS_FIRST = 200

interface RestLogOptions {
  /** Where the log is, with the credentials: `http://user:password@host:port`. */
  url: string
  /** Deadline of an answer, ms, beyond the wait that a read asks for. Default 10 s. */
  answerMs?: number
}

interface Call {
  path: string
  body?: unknown
  waitMs?: number
  signal?: AbortSignal | undefined
}

/**
 * The log at a URL. A read waits 30 s at most, whatever is asked. Failures are LogErrors:
 * 'unreachable' and 'timeout' where no answer came (an append may have been written then),
 * 'failed' where the answer made no sense, and what the server says; an aborted read throws the
 * signal's reason.
 */
export function restLog({ url, answerMs = ANSWER_MS_DEFAULT }: RestLogOptions): Log {
  const { base, authorization } = targetOf(url)

  async function once<T extends z.ZodType>(shape: T, call: Call): Promise<z.infer<T>> {
    call.signal?.throwIfAborted()
    const controller = new AbortController()
    const abort = () => controller.abort()
    const timer = setTimeout(abort, answerMs + (call.waitMs ?? 0))
    call.signal?.addEventListener('abort', abort)
    try {
      const response = await fetch(base + call.path, {
        method: call.body === undefined ? 'GET' : 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: call.body === undefined ? null : JSON.stringify(call.body),
        signal: controller.signal,
      })
      return answerOf(shape, response.status, await response.text())
    } catch (error) {
      call.signal?.throwIfAborted()
      if (error instanceof LogError) throw error
      if (controller.signal.aborted) {
        throw new LogError('timeout', `the log at ${base} gave no answer in time`, { cause: error })
      }
      throw new LogError('unreachable', `can't reach the log at ${base}: ${error}`, {
        cause: error,
      })
    } finally {
      clearTimeout(timer)
      call.signal?.removeEventListener('abort', abort)
    }
  }

  async function patiently<T extends z.ZodType>(shape: T, call: Call): Promise<z.infer<T>> {
    for (let tries = 1; ; tries++) {
      try {
        return await once(shape, call)
      } catch (error) {
        const mayPass = error instanceof LogError && error.retryable
        // That the log was replaced is told once, and for the caller to know.
        if (!mayPass || error.code === 'replaced' || tries >= TRIES_MAX) throw error
        await Bun.sleep(PAUSE_MS_FIRST * 2 ** (tries - 1) * (0.5 + Math.random() / 2))
      }
    }
  }

  return {
    topics: () => patiently(topicsAnswer, { path: '/topics' }),

    async createTopics() {
      throw new LogError('not-offered', `topics can't be changed through the log at ${base}`)
    },

    async read(topic, partition, offset, options = {}) {
      const { waitMs: wantedMs = 0, recordsMax: limit, signal } = options
      const waitMs = Math.min(wantedMs, WAIT_MS_MAX)
      const body = { topic, partition, offset, timeout: waitMs, limit }
      const records = await patiently(fetchedAnswer, { path: '/fetch', body, waitMs, signal })
      return records.map((record) => ({ ...record, key: record.key === '' ? null : record.key }))
    },

    async offsetAt(topic, partition, at) {
      const body = [{ topic, partition }]
      const whole = typeof at === 'number' ? Math.max(0, Math.ceil(at)) : at
      const [found] = await patiently(offsetsAnswer, { path: `/offsets/${whole}`, body })
      if (found === undefined) throw new LogError('failed', 'the log answered without an offset')
      return found.offset
    },

    async append(topic, records) {
      const path = `/produce/${encodeURIComponent(topic)}`
      const appended = await once(appendedAnswer, { path, body: records })
      if (appended.length === records.length) return appended
      throw new LogError('failed', `${appended.length} answers came for ${records.length} records`)
    },
  }
}

/** @throws LogError 'bad-request' for what is not an http(s) URL */
function targetOf(text: string): { base: string; authorization: string } {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new LogError('bad-request', 'the URL of a log is http://user:password@host:port')
  }
  const credentials = [url.username, url.password].map(decodeURIComponent).join(':')
  return {
    base: (url.origin + url.pathname).replace(/\/+$/, ''),
    authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
  }
}

function answerOf<T extends z.ZodType>(shape: T, status: number, text: string): z.infer<T> {
  const json = parseJson(text)
  if (status < 200 || status > 299) {
    const { data } = errorAnswer.safeParse(json)
    throw new LogError(codeOfStatus(status), data?.error ?? `the log answered ${status}`)
  }
  const parsed = shape.safeParse(json)
  if (parsed.success) return parsed.data
  throw new LogError('failed', 'the log gave an answer of an unknown shape', {
    cause: parsed.error,
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
