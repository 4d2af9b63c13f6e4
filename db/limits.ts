/**
 * Limits on names: so many process types and metrics an app may have in a minute; what comes after
 * goes to `other`. Names are let in as they come, beginning with those that have rows already.
 */
import type { Transaction } from './client.ts'
import { timeToText } from './schema.ts'

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
  private readonly admitted = new Map<string, Admitted>()
  private readonly max: LimitsMax

  constructor(max: LimitsMax) {
    this.max = max
  }

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
    const key = `${bucketMs}\n${app}`
    let admitted = this.admitted.get(key)
    if (admitted === undefined) {
      admitted = { processes: new Set(), metrics: new Set() }
      this.admitted.set(key, admitted)
    }
    return admitted
  }
}

function admit(names: Set<string>, name: string, max: number): boolean {
  if (names.has(name)) return true
  if (names.size >= max) return false
  names.add(name)
  return true
}

/**
 * The limits for the minutes (Unix ms) of apps that are `touched`, beginning with what the tables
 * hold of them. Nobody else may write to these apps until the transaction ends.
 */
export async function loadLimits(
  sql: Transaction,
  touched: Iterable<{ app: string; bucketMs: number }>,
  max: LimitsMax,
): Promise<Limits> {
  const limits = new Limits(max)
  const minutes = [...new Map([...touched].map((at) => [`${at.bucketMs}\n${at.app}`, at])).values()]
  if (minutes.length === 0) return limits

  const rows = await sql<{ n: number; processes: string[]; metrics: string[] }[]>`
    select t.n::integer as n, found.processes, found.metrics
    from unnest(
      ${minutes.map(({ app }) => app)}::text[],
      ${minutes.map(({ bucketMs }) => timeToText(bucketMs))}::timestamptz[]
    ) with ordinality t (app, bucket, n)
    cross join lateral (
      select
        array_agg(distinct m.process) as processes,
        coalesce(array_agg(distinct m.name || chr(10) || m.source)
          filter (where m.source <> '' or m.name !~ ${FREE_NAME}), '{}') as metrics
      from (
        select c.process, c.name, c.source from shelf.counters_1m c
        where c.app = t.app and c.bucket = t.bucket
        union all
        select g.process, g.name, g.source from shelf.gauges_1m g
        where g.app = t.app and g.bucket = t.bucket
        union all
        select h.process, h.name, h.source from shelf.histograms_1m h
        where h.app = t.app and h.bucket = t.bucket
        union all
        select r.process, null, null from shelf.requests_1m r
        where r.app = t.app and r.bucket = t.bucket
      ) m
      having count(*) > 0
    ) found`
  for (const { n, processes, metrics } of rows) {
    const minute = minutes[n - 1]
    if (minute !== undefined) limits.restore(minute.app, minute.bucketMs, processes, metrics)
  }
  return limits
}
