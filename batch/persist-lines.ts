/** `shelf persist` as a filter: lines of `shelf from aggregates`, or of `shelf aggregate`. */
import { z } from 'zod'
import { type AggregateRecord, aggregateRecordSchema } from '../core/aggregate-record.ts'
import { isBefore, missingBefore, type Place } from '../core/place.ts'
import { connect, type Sql } from '../db/client.ts'
import { LineError, lineBatches, parseLine } from './ndjson.ts'
import { persistRecords } from './persist-records.ts'
import { say } from './program.ts'
import { AGGREGATES } from './topics.ts'

/** `offset` is there where the line comes from the log. */
const lineSchema = aggregateRecordSchema.and(z.object({ offset: z.int().min(0).optional() }))

export async function persistLines(databaseUrl: string, signal: AbortSignal): Promise<void> {
  const sql = connect(databaseUrl, { settings: { application_name: 'shelf persist' } })
  try {
    let number = 0
    const begun = new Set<number>()
    for await (const lines of lineBatches(Bun.stdin.stream(), signal)) {
      const batches = new Map<number, z.output<typeof lineSchema>[]>()
      for (const text of lines) {
        number += 1
        const line = parseLine(lineSchema, text, number)
        const batch = batches.get(line.partition) ?? []
        batches.set(line.partition, batch)
        batch.push(line)
      }
      for (const [partition, batch] of batches) {
        if (!begun.has(partition)) await begin(sql, partition, batch[0])
        begun.add(partition)
        const last = batch[batch.length - 1]?.offset
        await persistRecords(sql, partition, batch, {
          ...(last === undefined ? {} : { nextOffset: last + 1 }),
          ifLeased: 'wait',
        })
      }
    }
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/** Input that starts behind the place would leave out what lies between: it is refused. */
async function begin(
  sql: Sql,
  partition: number,
  first: AggregateRecord | undefined,
): Promise<void> {
  await sql`insert into shelf.progress (partition) values (${partition}) on conflict do nothing`
  const [row] = await sql<Place[]>`
    select epoch, next_from as "from", next_part as part from shelf.progress
    where partition = ${partition}`
  if (row === undefined || first === undefined) return
  if (first.epoch < row.epoch) {
    say(
      `persist: partition ${partition} of the input begins in epoch ${first.epoch}, the database is in ` +
        `epoch ${row.epoch}: what comes before that falls away`,
    )
  }
  if (row.from > 0 && !isBefore(first, row) && missingBefore(first, row) > 0) {
    throw new LineError(
      `partition ${partition}: the input starts at raw offset ${first.from}, but the database has ` +
        `all before ${row.from} only. Start earlier: shelf from ${AGGREGATES} without --since`,
    )
  }
}
