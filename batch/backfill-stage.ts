/** The one transaction of staging: what persist does, into tables of its own. */
import type { AggregateRecord } from '../core/aggregate-record.ts'
import { behind, type Place, placeBehind } from '../core/place.ts'
import { holdJob, lockStaged, moveStaged } from '../db/backfill-job.ts'
import type { Sql } from '../db/client.ts'
import { loadLimits } from '../db/limits.ts'
import { mergeInto } from '../db/merge-cells.ts'
import { cellsOf, LIMITS, minutesOf } from './persist-records.ts'

/**
 * Merges records of one partition that follow its place into the staged rows, names limited in the
 * order of the log as persist limits them, and moves the place.
 * @throws JobGoneError
 */
export async function stageRecords(
  sql: Sql,
  run: string,
  partition: number,
  records: readonly AggregateRecord[],
): Promise<void> {
  await sql.begin(async (transaction) => {
    await holdJob(transaction, run)
    const place = await lockStaged(transaction, partition)
    if (place === undefined) throw new Error(`partition ${partition} has no place`)
    const fresh = behind(records, place)
    const limits = await loadLimits(transaction, minutesOf(fresh), LIMITS, 'staged')
    await mergeInto(transaction, 'staged', cellsOf(fresh, { ...place, watermark: null }, limits))
    const last = fresh.at(-1)
    if (last !== undefined) await moveStaged(transaction, partition, placeBehind(last))
  })
}

/** Where the staging of a partition begins. */
export async function beginStaging(
  sql: Sql,
  run: string,
  partition: number,
  place: Place,
): Promise<void> {
  await sql.begin(async (transaction) => {
    await holdJob(transaction, run)
    await moveStaged(transaction, partition, place)
  })
}

const isEmpty = ({ parts, cells, ledger }: AggregateRecord): boolean =>
  parts === 1 && cells.length === 0 && ledger.length === 0

/** Adds a record to those that are to be staged. Empty ones, of which there are many, become one. */
export function collect(records: AggregateRecord[], record: AggregateRecord): void {
  const last = records.at(-1)
  if (last !== undefined && isEmpty(last) && isEmpty(record) && last.epoch === record.epoch) {
    records[records.length - 1] = { ...record, from: last.from }
  } else {
    records.push(record)
  }
}
