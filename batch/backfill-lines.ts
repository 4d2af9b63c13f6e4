/** What a backfill changes, in lines and in words. */
import { z } from 'zod'
import type { Changes, RowDiff } from '../db/backfill-diff.ts'

const histogramSchema = z.object({
  zero: z.number(),
  bins: z.array(z.number()),
  counts: z.array(z.number()),
  sum: z.number(),
})

/** A line of the dry run: the columns that differ, before and after; histograms in short. */
export function lineOf({ table, key, before, after }: RowDiff): object {
  const columns = Object.keys(before ?? after ?? {}).filter(
    (column) =>
      before === null ||
      after === null ||
      JSON.stringify(before[column]) !== JSON.stringify(after[column]),
  )
  const short = (row: Record<string, unknown>): object =>
    Object.fromEntries(columns.map((column) => [column, shortOf(row[column])]))
  return {
    table,
    ...key,
    change: before === null ? 'added' : after === null ? 'removed' : 'changed',
    ...(before && { before: short(before) }),
    ...(after && { after: short(after) }),
  }
}

/** Of a histogram how many values, and their sum. */
function shortOf(value: unknown): unknown {
  const { data } = histogramSchema.safeParse(value)
  if (data === undefined) return value
  return { count: data.counts.reduce((sum, n) => sum + n, data.zero), sum: data.sum }
}

export function totalOf(changes: ReadonlyMap<string, Changes>): Changes {
  const total = { added: 0, changed: 0, removed: 0, same: 0 }
  for (const each of changes.values()) {
    total.added += each.added
    total.changed += each.changed
    total.removed += each.removed
    total.same += each.same
  }
  return total
}

export function wordsOf({ added, changed, removed, same }: Changes, isDry: boolean): string {
  const would = isDry ? ' would be' : ''
  return (
    `${changed} rows${would} changed, ${added} added, ${removed} removed; ` +
    `${same} are as the log says`
  )
}
