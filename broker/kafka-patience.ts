/** Deadlines for what a Kafka may never answer, and second tries for what may go better. */

import { LogError } from './error.ts'
import { isFinal, logErrorOf } from './kafka-error.ts'

/** Tries of a read, and the pause before the second; each further one is doubled: 3 s in all. */
const TRIES_MAX = 5
const PAUSE_MS_FIRST = 200
const PAUSE_MS_MAX = 1_600
/** Brokers get to know a new topic one after the other; an old one that is gone stays away. */
const TRIES_MAX_NOT_FOUND = 3

interface Patience {
  /** No try begins after this, on the clock of performance.now(). */
  deadlineMs: number
  triesMax?: number
  signal?: AbortSignal | undefined
}

/**
 * Tries again where that may help.
 * @throws LogError of the last try; the signal's reason when it is aborted
 */
export async function patiently<T>(
  doing: string,
  { deadlineMs, triesMax = TRIES_MAX, signal }: Patience,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    signal?.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      signal?.throwIfAborted()
      const failure = logErrorOf(doing, error)
      const pauseMs = pauseMsOf(tries)
      if (tries >= Math.min(triesMax, triesOf(failure, error))) throw failure
      if (performance.now() + pauseMs >= deadlineMs) throw failure
      await pause(pauseMs, signal)
    }
  }
}

/** How often it makes sense to try what failed so. */
function triesOf(failure: LogError, error: unknown): number {
  // Our own word that there is no such partition, after a look: that stands.
  if (failure.code === 'not-found') return failure === error ? 1 : TRIES_MAX_NOT_FOUND
  if (failure.code === 'replaced' || isFinal(error)) return 1
  return failure.retryable ? Number.POSITIVE_INFINITY : 1
}

/** Doubled each time, and spread, so that many do not come at once. */
const pauseMsOf = (tries: number): number =>
  Math.min(PAUSE_MS_FIRST * 2 ** (tries - 1), PAUSE_MS_MAX) * (0.5 + Math.random() / 2)

/** @throws the signal's reason when it is aborted */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await orAborted(promise, signal).finally(() => clearTimeout(timer))
}

/**
 * What `answer` gives within `ms`; what comes later is dropped.
 * @throws LogError 'timeout'
 */
export async function within<T>(ms: number, doing: string, answer: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const late = () => reject(new LogError('timeout', `can't ${doing}: no answer in time`))
  const timer = setTimeout(late, ms)
  try {
    return await Promise.race([answer, promise])
  } finally {
    clearTimeout(timer)
    answer.catch(() => {})
  }
}

/** What `answer` gives, unless the signal comes first. @throws the signal's reason */
export async function orAborted<T>(answer: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return answer
  answer.catch(() => {})
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([answer, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
