/**
 * `shelf persist`: cells of the topic aggregates become rows. Its place lies in shelf.progress and
 * moves in the transaction that merges the rows, so each record counts once, whatever dies when.
 * The place is the lease too: any number of these share the partitions.
 */
import type { Log } from '../broker/log.ts'
import type { AggregateRecord } from '../core/aggregate-record.ts'
import { connect, type Sql } from '../db/client.ts'
import { parseAggregate } from './aggregate.ts'
import { locate, locateDatabase } from './locate.ts'
import { eachPartition, partitionsOf, patiently, pause } from './loop.ts'
import { inputIsPiped } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { persistLines } from './persist-lines.ts'
import { persistRecords } from './persist-records.ts'
import { type Program, say } from './program.ts'
import { refuseAnotherLog } from './same-log.ts'
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
  await refuseReplacedLog(log, sql, partition)
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
      await refuseReplacedLog(log, sql, partition)
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

/** Rows that were made from another log, or from more of this one than there is, are no beginning. */
async function refuseReplacedLog(log: Log, sql: Sql, partition: number): Promise<void> {
  const [row] = await sql<{ from: number; offset: number; watermark: Date | null }[]>`
    select next_from as "from", next_offset as "offset", watermark from shelf.progress
    where partition = ${partition}`
  if (row === undefined || row.watermark === null) return
  await refuseAnotherLog(log, partition, row.from, row.watermark.getTime())
  const latest = await log.offsetAt(AGGREGATES, partition, 'latest')
  if (latest < row.offset) {
    throw new Error(
      `partition ${partition} of ${AGGREGATES} ends at ${latest}, but was read up to ${row.offset}: ` +
        'it was recreated. Read it from its start: update shelf.progress set next_offset = 0',
    )
  }
}
