/** Where notify goes on: all it knows comes from the topic deliveries. */
import type { Log, LogRecord } from '../broker/log.ts'
import { partitionsOf } from './loop.ts'
import {
  DELIVERIES,
  deliveryValue,
  DELIVERIES_PARTITION as PARTITION,
  parseDelivery,
} from './notify-record.ts'
import { DeliveryState } from './notify-state.ts'
import { CHECK_RESULTS } from './topics.ts'

/** The first start ever says what happened just before, and leaves what is older alone. */
const FIRST_MS = 3_600_000

/** Records at the end of the topic that are looked at for one that is one of ours. */
const TAIL_RECORDS = 100

export interface Start {
  state: DeliveryState
  /** Offset of deliveries to read on from. */
  next: number
}

/** Reads the state from the cut in force on; makes the first cut where there is none. */
export async function startState(log: Log, by: string): Promise<Start> {
  const found = await replay(log, await lastCut(log))
  if (found.state.cut !== null) return found
  const places = await firstPlaces(log)
  const value = deliveryValue(by, null, { kind: 'cut', since: null, places, messages: [] })
  await log.append(DELIVERIES, [{ partition: PARTITION, value }])
  return await replay(log, null)
}

/** The cut that was in force for who wrote last: that one counts for sure. */
async function lastCut(log: Log): Promise<number | null> {
  const [earliest, latest] = await Promise.all([
    log.offsetAt(DELIVERIES, PARTITION, 'earliest'),
    log.offsetAt(DELIVERIES, PARTITION, 'latest'),
  ])
  for (let end = latest; end > earliest; end -= TAIL_RECORDS) {
    let after: number | null | undefined
    for await (const record of deliveriesFrom(log, Math.max(earliest, end - TAIL_RECORDS), end)) {
      after = parseDelivery(record)?.after ?? after
    }
    if (after !== undefined) return after
  }
  return null
}

async function replay(log: Log, cut: number | null): Promise<Start> {
  const state = new DeliveryState()
  let next = cut === null ? 0 : await sinceOf(log, cut)
  for await (const record of deliveriesFrom(log, next)) {
    const delivery = parseDelivery(record)
    if (delivery) state.apply(delivery, record.offset, record.timestamp, record.offset === cut)
    next = record.offset + 1
  }
  return { state, next }
}

async function sinceOf(log: Log, cut: number): Promise<number> {
  const [record] = await log.read(DELIVERIES, PARTITION, cut)
  const delivery = record?.offset === cut ? parseDelivery(record) : undefined
  return delivery?.kind === 'cut' ? (delivery.since ?? cut) : 0
}

async function firstPlaces(log: Log): Promise<Record<string, number>> {
  const partitions = partitionsOf(await log.topics(), CHECK_RESULTS)
  const sinceMs = Date.now() - FIRST_MS
  const places: Record<string, number> = {}
  for (let partition = 0; partition < partitions; partition++) {
    places[partition] = await log.offsetAt(CHECK_RESULTS, partition, sinceMs)
  }
  return places
}

/** The records from an offset on, up to the end or the offset `end`. */
export async function* deliveriesFrom(
  log: Log,
  offset: number,
  end = Number.POSITIVE_INFINITY,
): AsyncGenerator<LogRecord> {
  for (let at = offset; at < end; ) {
    const records = await log.read(DELIVERIES, PARTITION, at)
    if (records.length === 0) return
    for (const record of records) {
      if (record.offset >= end) return
      yield record
      at = record.offset + 1
    }
  }
}
