/** Cuts the range of a backfill into slices, each in one tier and of bounded work. */
import type { Slice } from './backfill-diff.ts'
import type { Sql, Transaction } from './client.ts'
import { type Tier, timeToText } from './schema.ts'

/** In such steps rows are counted. */
const HOUR_MS = 3_600_000

const KINDS = ['counters', 'gauges', 'histograms', 'ledger', 'requests'] as const

/** Where a tier is the finest that keeps a time. Unix ms; infinite at both ends of time. */
export interface Zone {
  tier: Tier
  stepMs: number
  sinceMs: number
  untilMs: number
}

/** The zones, the oldest first. Times before the first are kept by no tier. */
export async function zonesOf(sql: Sql | Transaction): Promise<Zone[]> {
  const tiers = await sql<{ tier: Tier; stepMs: number; droppedMs: number | null }[]>`
    select tier, step_ms as "stepMs", dropped_ms as "droppedMs" from shelf.hold_tiers()`
  const zones: Zone[] = []
  let untilMs = Number.POSITIVE_INFINITY
  for (const { tier, stepMs, droppedMs } of tiers) {
    const sinceMs = droppedMs ?? Number.NEGATIVE_INFINITY
    if (sinceMs < untilMs) zones.unshift({ tier, stepMs, sinceMs, untilMs })
    untilMs = Math.min(untilMs, sinceMs)
  }
  return zones
}

/**
 * The range, widened to whole buckets of the zones in which it begins and ends.
 * @returns undefined where no tier keeps any of it
 */
export function wholeBuckets(
  zones: readonly Zone[],
  sinceMs: number,
  untilMs: number,
): { sinceMs: number; untilMs: number } | undefined {
  const kept = Math.max(sinceMs, zones[0]?.sinceMs ?? Number.POSITIVE_INFINITY)
  const first = zones.find((zone) => kept < zone.untilMs)
  const last = zones.findLast((zone) => zone.sinceMs < untilMs)
  if (first === undefined || last === undefined || kept >= untilMs) return undefined
  return {
    sinceMs: Math.floor(kept / first.stepMs) * first.stepMs,
    untilMs: Math.ceil(untilMs / last.stepMs) * last.stepMs,
  }
}

/**
 * Slices that cover the range without a gap, the oldest first. Its ends are those of buckets.
 * @param rowsMax rows of a slice, there or staged; but one bucket at least
 */
export async function planSlices(
  sql: Sql,
  sinceMs: number,
  untilMs: number,
  apps: readonly string[] | undefined,
  rowsMax: number,
): Promise<Slice[]> {
  const slices: Slice[] = []
  for (const zone of await zonesOf(sql)) {
    const part = {
      ...zone,
      sinceMs: Math.max(sinceMs, zone.sinceMs),
      untilMs: Math.min(untilMs, zone.untilMs),
    }
    if (part.sinceMs >= part.untilMs) continue
    const starts = startsOf(await rowCounts(sql, part, apps), part, rowsMax)
    starts.forEach((startMs, i) => {
      const { tier, stepMs } = zone
      slices.push({ tier, stepMs, sinceMs: startMs, untilMs: starts[i + 1] ?? part.untilMs })
    })
  }
  return slices
}

interface Count {
  /** Unix ms. */
  startMs: number
  rows: number
}

/** How many rows there are, and are staged, by hour, or by bucket where that is longer. */
async function rowCounts(
  sql: Sql,
  { tier, stepMs, sinceMs, untilMs }: Zone,
  apps: readonly string[] | undefined,
): Promise<Count[]> {
  const binS = Math.max(HOUR_MS, stepMs) / 1000
  const tables = KINDS.flatMap((kind) => [`${kind}_${tier}`, `${kind}_staged`])
  const each = tables.map(
    (table) => `select bucket from shelf.${table} where bucket >= $1::timestamptz
      and bucket < $2::timestamptz ${apps === undefined ? '' : 'and app = any($3::text[])'}`,
  )
  return await sql.unsafe<Count[]>(
    `select (floor(extract(epoch from bucket) / ${binS}) * ${binS * 1000})::float8 as "startMs",
      count(*)::float8 as rows
    from (${each.join(' union all ')}) buckets group by 1 order by 1`,
    [timeToText(sinceMs), timeToText(untilMs), ...(apps === undefined ? [] : [[...apps]])],
  )
}

/** Where slices start: hours that have few rows go together, one that has many is cut. */
function startsOf(
  counts: readonly Count[],
  { stepMs, sinceMs, untilMs }: Zone,
  rowsMax: number,
): number[] {
  const binMs = Math.max(HOUR_MS, stepMs)
  const starts = [sinceMs]
  let held = 0
  for (const { startMs, rows } of counts) {
    const pieces = Math.min(Math.ceil(rows / rowsMax), binMs / stepMs)
    const widthMs = Math.ceil(binMs / pieces / stepMs) * stepMs
    for (let atMs = startMs; atMs < startMs + binMs; atMs += widthMs) {
      const more = rows * (widthMs / binMs)
      if (held + more > rowsMax && held > 0 && atMs > sinceMs && atMs < untilMs) {
        starts.push(atMs)
        held = 0
      }
      held += more
    }
  }
  return starts
}
