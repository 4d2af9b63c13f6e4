/** What the long-running programs share: a worker a partition, patience when something is down. */
import { LogError } from '../broker/error.ts'
import { say, UsageError } from './program.ts'

/** Pause before a worker tries again, doubled each time: a broker that restarts is back in 1 s. */
const PAUSE_MS_FIRST = 100
const PAUSE_MS_MAX = 5000

/** How often topics are looked at for partitions that were added. */
const PARTITIONS_LOOK_MS = 5000

/** And before it tries again what is no passing fault: a person has to do something first. */
const PAUSE_MS_STUCK = 30_000

/** How often a line says that a topic is not there, while it is not: no outage explains that. */
const SAY_MS = 30_000

/** Whether the same may go better later: the log or PostgreSQL is away, or refused for now. */
export function isPassing(error: unknown): boolean {
  if (error instanceof LogError) return error.retryable
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string')
    return false
  // Connection faults of postgres.js and of the system; classes 08 (connection), 40 (rollback),
  // 53 (resources, a full disk among them), 57 (operator), 58 (system) of PostgreSQL's errors, and
  // 25006: read only, as after a failover; 25P03 and 25P04: we were silent in a transaction.
  return (
    /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|EPIPE|ENOTFOUND|ETIMEDOUT|EAI_|E(?:HOST|NET)UNREACH)/.test(
      error.code,
    ) || /^(08...|40...|53...|57...|58...|25006|25P0[34])$/.test(error.code)
  )
}

class NoTopicError extends UsageError {}

/** A topic that is not there may be about to be made, or made anew. */
const isAbsent = (error: unknown): boolean =>
  error instanceof NoTopicError || (error instanceof LogError && error.code === 'not-found')

/**
 * Runs `work` until it returns or `signal` says to stop. Where it fails it is run again after a
 * pause, and a line says so; it must be able to start anew from what is durable. What is no passing
 * fault is tried again as well, seldom, and said every time: one partition that is stuck must not stop
 * the others.
 */
export async function patiently(
  name: string,
  signal: AbortSignal,
  work: (succeeded: () => void) => Promise<void>,
): Promise<void> {
  let failures = 0
  let saidMs = Number.NEGATIVE_INFINITY
  while (!signal.aborted) {
    try {
      return await work(() => {
        if (failures > 0) say(`${name}: goes on`)
        failures = 0
        saidMs = Number.NEGATIVE_INFINITY
      })
    } catch (error) {
      if (signal.aborted) return
      failures += 1
      const words = error instanceof Error ? error.message : String(error)
      const isStuck = !isPassing(error) && !isAbsent(error)
      const isDue = isAbsent(error) ? performance.now() - saidMs >= SAY_MS : failures === 1
      if (isStuck) say(`${name}: stuck, ${words}`)
      else if (isDue) say(`${name}: waiting, ${words}`)
      if (isAbsent(error) && isDue) saidMs = performance.now()
      const pauseMs = Math.min(PAUSE_MS_FIRST * 2 ** (failures - 1), PAUSE_MS_MAX)
      await pause(isStuck ? PAUSE_MS_STUCK : pauseMs, signal)
    }
  }
}

/** Resolves after `ms`, or as soon as `signal` says to stop. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}

type Worker = (signal: AbortSignal) => Promise<void>

/** Runs workers side by side until all return; where one fails for good, the others are stopped. */
export async function together(signal: AbortSignal, workers: readonly Worker[]): Promise<void> {
  const failed = new AbortController()
  const stop = AbortSignal.any([signal, failed.signal])
  const results = await Promise.allSettled(
    workers.map(async (work) => {
      try {
        await work(stop)
      } catch (error) {
        failed.abort()
        throw error
      }
    }),
  )
  const failure = results.find((result) => result.status === 'rejected')
  // Who is told to stop gives up its reads: that is no failure.
  if (failure !== undefined && !signal.aborted) throw failure.reason
}

/** One worker for each partition. */
export function eachPartition(
  partitions: number,
  signal: AbortSignal,
  work: (partition: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const workers = Array.from(
    { length: partitions },
    (_, partition): Worker =>
      (stop) =>
        work(partition, stop),
  )
  return together(signal, workers)
}

/**
 * One worker for each partition, also for those that are added later: `count` is asked again and
 * again. Workers are patient themselves; where one fails for good, the others are stopped.
 */
export async function eachPartitionToCome(
  name: string,
  signal: AbortSignal,
  count: () => Promise<number>,
  work: (partition: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController()
  const stop = AbortSignal.any([signal, failed.signal])
  const workers: Promise<void>[] = []
  await patiently(name, stop, async (succeeded) => {
    while (!stop.aborted) {
      const partitions = await count()
      succeeded()
      while (workers.length < partitions) {
        const worker = work(workers.length, stop)
        worker.catch(() => failed.abort())
        workers.push(worker)
      }
      await pause(PARTITIONS_LOOK_MS, stop)
    }
  })
  await Promise.all(workers)
}

/** How many partitions a topic has. */
export function partitionsOf(topics: Record<string, number>, topic: string): number {
  const partitions = topics[topic]
  if (partitions === undefined) {
    throw new NoTopicError(
      `the log has no topic ${topic}; it has ${Object.keys(topics).join(', ')}`,
    )
  }
  return partitions
}
