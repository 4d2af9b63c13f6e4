/**
 * Brings what waits in the spool into the log, oldest first. Two drains at once are harmless: a burst
 * that is produced twice has one id, and is counted once.
 */
import { readBurst } from '../../core/burst.ts'
import type { Sink, SinkRecord } from '../sinks/sink.ts'
import { RAW_TOPIC } from './keeper.ts'
import { type Spool, step } from './spool.ts'

/** A Worker may have 6 connections at a time; produce takes one, a burst of a request another. */
const GETS_MAX = 4

/** Of one produce request: with base64 below the 1 MiB that REST proxies take by default. */
const PRODUCE_BYTES_MAX = 700_000
const PRODUCE_RECORDS_MAX = 100

/** Nobody waits for the answer. */
const PRODUCE_MS_MAX = 10_000

/**
 * A batch may hold what the log can't take, and can't say so: one record too large for its topic, or
 * a partition without a leader. Two of which it takes nothing are a log that is down.
 */
const UNTAKEN_BATCHES_MAX = 2

export interface DrainLimits {
  /** Bursts of one run: each is a subrequest, and a few more are for lists, produces and deletes. */
  objectsMax: number
  /** After this no more is read, ms; what was, goes to the log still. */
  msMax: number
  /** Ends the run behind the current batch. */
  signal?: AbortSignal
}

/** What a run came to. */
export interface Drained {
  produced: number
  rejected: number
  /** Whether it ended because the log took nothing. */
  isLogDown: boolean
  /** Whether it saw the end of the spool. */
  isEmpty: boolean
}

interface Spooled {
  name: string
  record: SinkRecord
}

/** @throws Error where the spool fails; what was produced until then may be produced again */
export async function drainSpool(spool: Spool, sink: Sink, limits: DrainLimits): Promise<Drained> {
  const untilMs = performance.now() + limits.msMax
  const isOver = (): boolean => performance.now() > untilMs || limits.signal?.aborted === true
  const names = await spool.list(limits.objectsMax)
  const drained: Drained = { produced: 0, rejected: 0, isLogDown: false, isEmpty: false }
  let untaken = 0
  for await (const batch of batches(spool, names, drained, isOver)) {
    const isTaken = await produce(spool, sink, batch, drained)
    untaken = isTaken ? 0 : untaken + 1
    drained.isLogDown = untaken === UNTAKEN_BATCHES_MAX
    if (drained.isLogDown || isOver()) return drained
  }
  drained.isEmpty = names.length < limits.objectsMax && !isOver()
  return drained
}

/** What is left of a batch when the time is over is handed out all the same. */
async function* batches(
  spool: Spool,
  names: readonly string[],
  drained: Drained,
  isOver: () => boolean,
): AsyncGenerator<Spooled[]> {
  let batch: Spooled[] = []
  let bytes = 0
  for await (const spooled of read(spool, names, drained, isOver)) {
    const { length } = spooled.record.value
    const isFull = batch.length === PRODUCE_RECORDS_MAX || bytes + length > PRODUCE_BYTES_MAX
    if (isFull && batch.length > 0) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(spooled)
    bytes += length
  }
  if (batch.length > 0) yield batch
}

async function* read(
  spool: Spool,
  names: readonly string[],
  drained: Drained,
  isOver: () => boolean,
): AsyncGenerator<Spooled> {
  for (let at = 0; at < names.length; at += GETS_MAX) {
    if (at > 0 && isOver()) return
    const some = names.slice(at, at + GETS_MAX)
    const values = await Promise.all(some.map((name) => get(spool, name)))
    for (const [i, name] of some.entries()) {
      const value = values[i]
      if (value === undefined) continue
      const key = value === 'too-large' ? undefined : appOf(value)
      if (value !== 'too-large' && key !== undefined) yield { name, record: { key, value } }
      else await reject(spool, name, 'it is no burst', drained)
    }
  }
}

/** Undefined where it is gone, and where it can't be read: that holds up nothing behind it. */
async function get(spool: Spool, name: string): ReturnType<Spool['get']> {
  try {
    return await step(spool.get(name))
  } catch (error) {
    console.error(`edge: ${name} of the spool can't be read, and stays there: ${error}`)
    return undefined
  }
}

/** @returns whether the log took, or refused for good, any of it */
async function produce(
  spool: Spool,
  sink: Sink,
  batch: readonly Spooled[],
  drained: Drained,
): Promise<boolean> {
  const records = batch.map(({ record }) => record)
  const outcomes = await sink.produce(RAW_TOPIC, records, PRODUCE_MS_MAX)
  const done = batch.filter((_, i) => outcomes[i] === 'ok').map(({ name }) => name)
  if (done.length > 0) await step(spool.delete(done))
  drained.produced += done.length
  for (const [i, { name }] of batch.entries()) {
    if (outcomes[i] !== 'reject') continue
    await reject(spool, name, 'the log will not take it', drained)
  }
  return outcomes.some((outcome) => outcome !== 'retry')
}

async function reject(spool: Spool, name: string, why: string, drained: Drained): Promise<void> {
  try {
    await step(spool.reject(name))
    drained.rejected += 1
    console.error(`edge: ${name} was moved from spool/ to rejected/: ${why}`)
  } catch (error) {
    console.error(`edge: ${name} stays in spool/ though ${why}: ${error}`)
  }
}

/** The burst's app, the key of its record; undefined where it can't be read. */
function appOf(value: Uint8Array): string | undefined {
  try {
    return readBurst(value).app
  } catch {
    return undefined
  }
}
