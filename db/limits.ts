/**
 * Limits on names: so many process types and metrics an app may have in a minute; what comes after
 * goes to `other`. Names are let in as they come, beginning with those that have rows already.
 */
import type { Transaction } from './client.ts'
import { type Rows, timeToText } from './schema.ts'
import { holdTiers } from './tiers.ts'

/** Where values of names over the limit stand. */
const OTHER = 'other'

/**
 * What is never refused and never counted: the platform's own metrics, a closed set, so that no
 * name of an app's hides its R14. Written so that PostgreSQL reads it alike.
 */
const FREE_NAME =
  '^(memory_(total|rss|cache|swap|pgpgin|pgpgout|quota|running)|load_avg_(1|5|15)m' +
  '|[HRL][0-9]{1,3}|exit[.][0-9]{1,3}|other)$'
const isFreeName = new RegExp(FREE_NAME)

/** A minute of an app, or a longer bucket of a coarser tier. It starts then, Unix ms. */
interface Bucket {
  app: string
  bucketMs: number
}

/** At most how many of each an app may have in a minute. */
export interface LimitsMax {
  /** Process types, beside the empty one. */
  processes: number
  /** Metrics: pairs of name and source, beside the platform's own. */
  names: number
}

const isFreeProcess = (process: string): boolean => process === '' || process === OTHER

/** The names of an app in a minute. */
interface Admitted {
  processes: Set<string>
  /** `name\nsource` */
  metrics: Set<string>
}

/** What is let in. The same questions in the same order have the same answers. */
export class Limits {
  /** By the start of the bucket (Unix ms), and the app. */
  private readonly admitted = new Map<number, Map<string, Admitted>>()

  /** @param bucketOf the start of the bucket whose names count for a minute (both Unix ms) */
  constructor(
    private readonly max: LimitsMax,
    private readonly bucketOf: (bucketMs: number) => number,
  ) {}

  /** The process type under which a value stands: itself, or `other`. */
  process(app: string, bucketMs: number, process: string): string {
    if (isFreeProcess(process)) return process
    const { processes } = this.of(app, bucketMs)
    return admit(processes, process, this.max.processes) ? process : OTHER
  }

  /** The metric under which a value stands: itself, or `other` of no source. */
  name(
    app: string,
    bucketMs: number,
    name: string,
    source: string,
  ): { name: string; source: string } {
    if (source === '' && isFreeName.test(name)) return { name, source }
    const { metrics } = this.of(app, bucketMs)
    const isIn = admit(metrics, `${name}\n${source}`, this.max.names)
    return isIn ? { name, source } : { name: OTHER, source: '' }
  }

  /** Lets in what has rows, whatever the limits are now. */
  restore(app: string, bucketMs: number, processes: string[], metrics: string[]): void {
    const admitted = this.of(app, bucketMs)
    for (const process of processes) {
      if (!isFreeProcess(process)) admitted.processes.add(process)
    }
    for (const metric of metrics) admitted.metrics.add(metric)
  }

  private of(app: string, bucketMs: number): Admitted {
    const apps = inMap(this.admitted, this.bucketOf(bucketMs), () => new Map<string, Admitted>())
    return inMap(apps, app, () => ({ processes: new Set(), metrics: new Set() }))
  }
}

function inMap<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}

function admit(names: Set<string>, name: string, max: number): boolean {
  if (names.has(name)) return true
  if (names.size >= max) return false
  names.add(name)
  return true
}

/**
 * The limits for the minutes (Unix ms) of apps that are `touched`, beginning with what the tables
 * hold of them: those named `rows`, or else those of the finest tier that keeps the minute, by its
 * buckets. Nobody else may write to these apps until the transaction ends.
 */
export async function loadLimits(
  sql: Transaction,
  touched: Iterable<Bucket>,
  max: LimitsMax,
  rows?: Rows,
): Promise<Limits> {
  const placeOf = rows === undefined ? await holdTiers(sql) : undefined
  const limits = new Limits(max, (bucketMs) => placeOf?.(bucketMs)?.bucketMs ?? bucketMs)
  const buckets = new Map<Rows, Map<string, Bucket>>()
  for (const { app, bucketMs: minuteMs } of touched) {
    const place = placeOf?.(minuteMs)
    const from = rows ?? place?.tier
    if (from === undefined) continue
    const bucketMs = place?.bucketMs ?? minuteMs
    const some = buckets.get(from) ?? new Map<string, Bucket>()
    buckets.set(from, some.set(`${bucketMs}\n${app}`, { app, bucketMs }))
  }
  for (const [from, some] of buckets) await restoreFrom(sql, from, [...some.values()], limits)
  return limits
}

async function restoreFrom(
  sql: Transaction,
  from: Rows,
  buckets: readonly Bucket[],
  limits: Limits,
): Promise<void> {
  const rows = await sql<{ n: number; processes: string[]; metrics: string[] }[]>`
    select t.n::integer as n, found.processes, found.metrics
    from unnest(
      ${buckets.map(({ app }) => app)}::text[],
      ${buckets.map(({ bucketMs }) => timeToText(bucketMs))}::timestamptz[]
    ) with ordinality t (app, bucket, n)
    cross join lateral (
      select
        array_agg(distinct m.process) as processes,
        coalesce(array_agg(distinct m.name || chr(10) || m.source)
          filter (where m.source <> '' or m.name !~ ${FREE_NAME}), '{}') as metrics
      from (
        select c.process, c.name, c.source from ${sql(`shelf.counters_${from}`)} c
        where c.app = t.app and c.bucket = t.bucket
        union all
        select g.process, g.name, g.source from ${sql(`shelf.gauges_${from}`)} g
        where g.app = t.app and g.bucket = t.bucket
        union all
        select h.process, h.name, h.source from ${sql(`shelf.histograms_${from}`)} h
        where h.app = t.app and h.bucket = t.bucket
        union all
        select r.process, null, null from ${sql(`shelf.requests_${from}`)} r
        where r.app = t.app and r.bucket = t.bucket
      ) m
      having count(*) > 0
    ) found`
  for (const { n, processes, metrics } of rows) {
    const bucket = buckets[n - 1]
    if (bucket !== undefined) limits.restore(bucket.app, bucket.bucketMs, processes, metrics)
  }
}
