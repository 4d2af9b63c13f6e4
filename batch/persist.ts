/**
 * `shelf persist`: cells of the topic aggregates become rows. Its place lies in shelf.progress and
 * moves in the transaction that merges the rows, so each record counts once, whatever dies when.
 * The place is the lease too: any number of these share the partitions.
 */
import type { Log } from '../broker/log.ts'
import {
  type AggregateRecord,
  ledgerCellFromWire,
  requestCellFromWire,
} from '../core/aggregate-record.ts'
import { Cells } from '../core/cell.ts'
import { minuteOf } from '../core/ledger.ts'
import { connect, type Sql, type Transaction } from '../db/client.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { parseAggregate } from './aggregate.ts'
import { eachPartition, partitionsOf, patiently, pause } from './loop.ts'
import { inputIsPiped } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { makePartitions } from './partitions.ts'
import { persistLines } from './persist-lines.ts'
import { type Program, say } from './program.ts'
import { locate, locateDatabase } from './state.ts'
import { AGGREGATES } from './topics.ts'

/** How long a read waits for records. */
const IDLE_WAIT_MS = 10_000

/** Until a worker looks again at a partition that another one is at. */
const LEASED_PAUSE_MS = 250

export const persist: Program = {
  usage: 'persist',
  summary: 'Merges cells into rows: the topic aggregates, to PostgreSQL.',
  details: `
With input (shelf from aggregates | shelf persist) it is a filter.
Without (a terminal, /dev/null) it works on the log itself, until it is stopped.`,
  options: {},
  async run(_args, signal) {
    if (inputIsPiped()) {
      await persistLines(locateDatabase(process.env), signal)
      return
    }
    const { databaseUrl, logUrl } = locate(process.env)
    const sql = connect(databaseUrl, { settings: { application_name: 'shelf persist' } })
    try {
      await persistLog(openLog(logUrl), sql, signal)
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}

/** Persists all partitions until `signal`. */
export async function persistLog(log: Log, sql: Sql, signal: AbortSignal): Promise<void> {
  let partitions = 0
  await patiently('persist', signal, async () => {
    partitions = partitionsOf(await log.topics(), AGGREGATES)
  })
  await eachPartition(partitions, signal, (partition, stop) =>
    patiently(`persist ${partition}`, stop, (succeeded) =>
      persistPartition(log, sql, partition, stop, succeeded),
    ),
  )
}

async function persistPartition(
  log: Log,
  sql: Sql,
  partition: number,
  signal: AbortSignal,
  succeeded: () => void,
): Promise<void> {
  await sql`insert into shelf.progress (partition) values (${partition}) on conflict do nothing`
  while (!signal.aborted) {
    const [row] = await sql<{ nextOffset: number }[]>`
      select next_offset as "nextOffset" from shelf.progress where partition = ${partition}`
    succeeded()
    const nextOffset = row?.nextOffset ?? 0
    const found = await log.read(AGGREGATES, partition, nextOffset, {
      waitMs: IDLE_WAIT_MS,
      signal,
    })
    const last = found[found.length - 1]
    if (last === undefined) {
      await refuseAnotherLog(log, partition, nextOffset)
      continue
    }
    const records: AggregateRecord[] = []
    for (const record of found) {
      const aggregate = parseAggregate(record)
      if (aggregate === undefined)
        say(`persist ${partition}: offset ${record.offset} is no record of cells`)
      else records.push(aggregate)
    }
    const taken = await persistRecords(sql, partition, records, {
      nextOffset: last.offset + 1,
      ifLeased: 'skip',
    })
    if (!taken) await pause(LEASED_PAUSE_MS, signal)
  }
}

/** A log that is shorter than what was read of it is another one: to go on would lose it silently. */
async function refuseAnotherLog(log: Log, partition: number, nextOffset: number): Promise<void> {
  const latest = await log.offsetAt(AGGREGATES, partition, 'latest')
  if (latest >= nextOffset) return
  throw new Error(
    `partition ${partition} of ${AGGREGATES} ends at ${latest}, but the database has read up to ` +
      `${nextOffset}: this is not the log that it was filled from. Point DATABASE_URL at an empty ` +
      'database, or SHELF_LOG at the right log',
  )
}

/** The place in a partition: raw offsets before `from`, and parts before `part` of the chunk there. */
interface Place {
  from: number
  part: number
}

interface PersistOptions {
  /** Where to read on in the topic, if that is known. */
  nextOffset?: number
  /** What to do while another worker is at this partition. */
  ifLeased: 'skip' | 'wait'
}

/**
 * Merges the records of one partition that lie behind its place, and moves the place, in one
 * transaction. Records that were merged before fall away.
 * @returns false where another worker is at the partition
 */
export async function persistRecords(
  sql: Sql,
  partition: number,
  records: readonly AggregateRecord[],
  { nextOffset, ifLeased }: PersistOptions,
): Promise<boolean> {
  await makePartitions(sql, records)
  return await sql.begin(async (transaction) => {
    const skip = transaction.unsafe(ifLeased === 'skip' ? 'skip locked' : '')
    const [row] = await transaction<Place[]>`
      select next_from as "from", next_part as part from shelf.progress
      where partition = ${partition} for update ${skip}`
    if (row === undefined) return false
    const { cells, place, watermark } = accept(records, row)
    await mergeCells(transaction, cells)
    await moveTo(transaction, partition, place, watermark, nextOffset)
    return true
  })
}

/** The cells of the records that are not before `place`, and the place behind them. */
function accept(
  records: readonly AggregateRecord[],
  start: Place,
): { cells: Cells; place: Place; watermark: string | undefined } {
  const cells = new Cells()
  let place = start
  let watermark: string | undefined
  for (const record of records) {
    const { from, to, part, parts } = record
    if (from < place.from || (from === place.from && part < place.part)) continue
    // Chunks join without holes: a jump means that records were deleted before we read them.
    if (place.from > 0 && from > place.from) {
      cells.addLedger('', minuteOf(Date.parse(record.watermark)), { lostLog: from - place.from })
    }
    for (const cell of record.cells) cells.mergeRequestCell(requestCellFromWire(cell))
    for (const row of record.ledger) {
      const { app, bucketMs, counts } = ledgerCellFromWire(row)
      cells.addLedger(app, bucketMs, counts)
    }
    place = part + 1 === parts ? { from: to, part: 0 } : { from, part: part + 1 }
    watermark = record.watermark
  }
  return { cells, place, watermark }
}

async function moveTo(
  sql: Transaction,
  partition: number,
  place: Place,
  watermark: string | undefined,
  nextOffset: number | undefined,
): Promise<void> {
  await sql`
    update shelf.progress set
      next_from = ${place.from},
      next_part = ${place.part},
      next_offset = greatest(next_offset, ${nextOffset ?? 0}),
      watermark = greatest(watermark, ${watermark ?? null}::timestamptz),
      updated_at = now()
    where partition = ${partition}`
}
