/** Archives what is closed of one partition, hour by hour, from where the archive ends. */
import { LogError } from '../broker/error.ts'
import type { Log, LogRecord } from '../broker/log.ts'
import type { Epoch } from '../core/aggregate.ts'
import { findStart } from './aggregate-start.ts'
import { archiveHour, type Hour, HourMovedError } from './archive-hour.ts'
import { lastManifest } from './archive-index.ts'
import { ArchiveError, HOUR_MS, hourOf, type Manifest } from './archive-layout.ts'
import type { ArchiveStore } from './archive-store.ts'
import { isSameLog } from './same-log.ts'
import { RAW } from './topics.ts'

/** After its end by our clock: then a tick of a quiet partition is to prove that an hour is closed. */
const QUIET_MS = 5 * 60_000

/** The same for an hour of nothing but ticks: one a day, and before retention takes it for a loss. */
const QUIET_TICKS_MS = 24 * HOUR_MS

interface Place {
  epoch: Epoch
  /** Offset behind what is archived. */
  from: number
}

/**
 * @param told is told of each hour that is in the archive now
 * @throws LogError of the log or the store; ArchiveError where the archive is of another log
 */
export async function archivePartition(
  log: Log,
  store: ArchiveStore,
  partition: number,
  signal: AbortSignal,
  told: (manifest: Manifest) => Promise<void> | void,
): Promise<void> {
  const place = await placeOf(log, store, partition)
  for (let failures = 0; ; ) {
    const hour = await nextHour(log, partition, place, proveClosed)
    if (hour === undefined || signal.aborted) return
    try {
      const manifest = await archiveHour(log, store, hour, signal)
      place.from = manifest.last.offset + 1
      failures = 0
      await told(manifest)
    } catch (error) {
      // What retention took meanwhile is missing, and is said so: it goes on behind that.
      if (error instanceof HourMovedError) continue
      // A connection may break once; the hour is begun anew.
      const isBroken = error instanceof LogError && error.code === 'unreachable'
      if (!isBroken || signal.aborted || ++failures > 1) throw error
    }
  }
}

/** The hours that would be archived now. Writes nothing, also no tick. */
export async function* plannedHours(
  log: Log,
  store: ArchiveStore,
  partition: number,
): AsyncGenerator<Hour> {
  const place = await placeOf(log, store, partition)
  for (;;) {
    const hour = await nextHour(log, partition, place, () => log.offsetAt(RAW, partition, 'latest'))
    if (hour === undefined) return
    yield hour
    place.from = hour.end
  }
}

/** Behind the last hour of the epoch in which the aggregator is. */
async function placeOf(log: Log, store: ArchiveStore, partition: number): Promise<Place> {
  const { epoch, isReplaced } = await findStart(log, partition)
  // Where an epoch begins is the aggregator's word: it has to be written before we use it.
  if (isReplaced) {
    throw new LogError(
      'unavailable',
      `partition ${partition} of ${RAW} is another log than before: aggregate has to see it first`,
    )
  }
  const last = await lastManifest(store, epoch.epoch, partition)
  if (last === undefined) return { epoch, from: epoch.begin }
  const from = last.last.offset + 1
  const isSame =
    last.begin === epoch.begin &&
    (await isSameLog(log, partition, from, Date.parse(last.last.time)))
  if (isSame) return { epoch, from }
  throw new ArchiveError(
    `${store.name} holds epoch ${epoch.epoch} of another log for partition ${partition}, which ` +
      "nothing in the topic aggregates tells of: give this log's archive another place",
  )
}

/** The hour of the next record, if it is closed: if the log has a record of a later one. */
async function nextHour(
  log: Log,
  partition: number,
  { epoch, from }: Place,
  findEnd: (log: Log, partition: number, endMs: number) => Promise<number | undefined>,
): Promise<Hour | undefined> {
  const [first] = await log.read(RAW, partition, from)
  if (first === undefined) return undefined
  const hourMs = hourOf(first.timestamp)
  const endMs = hourMs + HOUR_MS
  let end = await closedEnd(log, partition, endMs)
  if (end === undefined && (await isQuiet(log, first, endMs))) {
    end = await findEnd(log, partition, endMs)
  }
  return end === undefined ? undefined : { epoch, partition, hourMs, from, first, end }
}

/** Offset of the first record from a time on; undefined where there is none yet. */
async function closedEnd(log: Log, partition: number, endMs: number): Promise<number | undefined> {
  const end = await log.offsetAt(RAW, partition, endMs)
  const [record] = await log.read(RAW, partition, end)
  return record !== undefined && record.timestamp >= endMs ? end : undefined
}

async function isQuiet(log: Log, first: LogRecord, endMs: number): Promise<boolean> {
  const overMs = Date.now() - endMs
  if (overMs < QUIET_MS) return false
  return overMs >= QUIET_TICKS_MS || (await hasBursts(log, first))
}

async function hasBursts(log: Log, { partition, offset }: LogRecord): Promise<boolean> {
  for (let next = offset; ; ) {
    const records = await log.read(RAW, partition, next)
    const last = records.at(-1)
    if (last === undefined) return false
    if (records.some(({ value }) => value.length > 0)) return true
    next = last.offset + 1
  }
}

/**
 * Log time never goes back within a partition: a tick of now, by the log's own clock, shows that no
 * record of the hour before can follow, whatever our clock says.
 */
async function proveClosed(
  log: Log,
  partition: number,
  endMs: number,
): Promise<number | undefined> {
  await log.append(RAW, [{ partition, value: '' }])
  return closedEnd(log, partition, endMs)
}
