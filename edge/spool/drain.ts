/**
 * Brings what waits in the spool into the log, oldest first. Two drains at once are harmless: a burst
 * that is produced twice has one id, and is counted once.
 */
import { decodeBurst } from '../../core/burst.ts'
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

export interface DrainLimits {
  /** Bursts of one run: each is a subrequest, and a few more are for lists, produces and deletes. */
  objectsMax: number
  /** After this no further batch is begun, ms. */
  msMax: number
  /** Ends the run behind the current batch. */
  signal?: AbortSignal
}

/** What a run came to. */
export interface Drained {
  produced: number
  rejected: number
  /** Whether it ended because the log did not take a batch. */
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
  const untilMs = Date.now() + limits.msMax
  const names = await step(spool.list(limits.objectsMax))
  const drained: Drained = { produced: 0, rejected: 0, isLogDown: false, isEmpty: false }
  for await (const batch of batches(spool, names, drained)) {
    await produce(spool, sink, batch, drained)
    if (drained.isLogDown || Date.now() > untilMs || limits.signal?.aborted) return drained
  }
  drained.isEmpty = names.length < limits.objectsMax
  return drained
}

async function* batches(
  spool: Spool,
  names: readonly string[],
  drained: Drained,
): AsyncGenerator<Spooled[]> {
  let batch: Spooled[] = []
  let bytes = 0
  for await (const spooled of read(spool, names, drained)) {
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
): AsyncGenerator<Spooled> {
  for (let at = 0; at < names.length; at += GETS_MAX) {
    const some = names.slice(at, at + GETS_MAX)
    const values = await Promise.all(some.map((name) => step(spool.get(name))))
    for (const [i, name] of some.entries()) {
      const value = values[i]
      if (value === undefined) continue
      const key = appOf(value)
      if (key !== undefined) yield { name, record: { key, value } }
      else await reject(spool, name, value, 'it is no burst', drained)
    }
  }
}

async function produce(
  spool: Spool,
  sink: Sink,
  batch: readonly Spooled[],
  drained: Drained,
): Promise<void> {
  const records = batch.map(({ record }) => record)
  const outcomes = await sink.produce(RAW_TOPIC, records, PRODUCE_MS_MAX)
  const done = batch.filter((_, i) => outcomes[i] === 'ok').map(({ name }) => name)
  if (done.length > 0) await step(spool.delete(done))
  drained.produced += done.length
  for (const [i, { name, record }] of batch.entries()) {
    if (outcomes[i] === 'ok') continue
    if (outcomes[i] !== 'reject') drained.isLogDown = true
    else await reject(spool, name, record.value, 'the log will not take it', drained)
  }
}

async function reject(
  spool: Spool,
  name: string,
  value: Uint8Array<ArrayBuffer>,
  why: string,
  drained: Drained,
): Promise<void> {
  await step(spool.reject(name, value))
  drained.rejected += 1
  console.error(`edge: ${name} was moved from spool/ to rejected/: ${why}`)
}

/** The burst's app, the key of its record; undefined where it can't be read. */
function appOf(value: Uint8Array): string | undefined {
  try {
    return decodeBurst(value).app
  } catch {
    return undefined
  }
}
