/**
 * The list of apps. What it is sorted by is kept in shelf.app_overview, which is made anew when
 * somebody looks; the figures of the apps of a page are made for that page.
 */
import type { Sql } from '../../db/client.ts'
import type { Viewer } from '../access.ts'

/** Rows of shelf.app_overview older than this are made anew. */
const STALE_MS_MIN = 5000
/** And than so many times what it took to make them: a twentieth of a core at most. */
const STALE_TIMES = 20
/** What is made in this time is worth waiting for; else the page shows what there was. */
const PATIENCE_MS = 150
const REFRESH_MS_MAX = 120_000

/** The last whole minute, of which all is in the tables: they are seconds behind. */
const lastMinute = (sql: Sql) => sql`
  date_bin('1 minute', clock_timestamp() - interval '5 seconds', '1970-01-01 00:00+00')`

export const SORT_NAMES = [
  'app',
  'requests',
  'p95',
  'errors',
  'memory',
  'deployed',
  'completeness',
  'fresh',
] as const

export type Sort = (typeof SORT_NAMES)[number]

const SORTS: Record<Sort, string> = {
  app: 'app',
  requests: 'requests',
  p95: 'p95',
  errors: 'failed::float8 / nullif(recent, 0)',
  memory: 'memory_share',
  deployed: 'deployed_at',
  completeness: 'completeness',
  fresh: 'last_at',
}

export interface AppRow {
  app: string
  /** Of the hour. */
  requests: number
  /** Of its last 10 minutes, and so are failed, errorRate, p95 and memory. */
  recent: number
  failed: number
  errorRate: number | null
  p95: number | null
  sparkline: (number | null)[]
  memory: number | null
  memoryShare: number | null
  deployedAt: Date | null
  deploy: string | null
  completeness: number | null
  lastAt: Date | null
}

export interface AppsQuery {
  search: string
  sort: Sort
  isDescending: boolean
  /** From 1 on. */
  page: number
  pageSize: number
}

export interface AppList {
  apps: AppRow[]
  /** How many match. */
  total: number
  /** Their figures are of the hour before; null: there are none. */
  asOf: Date | null
  /** The order is by those of the hour before; null: none were made yet. */
  sortedAsOf: Date | null
  nowMs: number
}

/** A page of the apps that a viewer may see. Apps with a drain and no data come with no figures. */
export async function readApps(sql: Sql, viewer: Viewer, query: AppsQuery): Promise<AppList> {
  const { search, sort, isDescending, page, pageSize } = query
  // Escaped, so that a search for a_b is one for a_b.
  const pattern = `%${search.replace(/[\\%_]/g, '\\$&')}%`
  const order = sql.unsafe(`${SORTS[sort]} ${isDescending ? 'desc' : 'asc'} nulls last, app`)
  const rows = await sql<(AppRow & Omit<AppList, 'apps' | 'nowMs'> & { now: Date })[]>`
    with apps as (
      select app from shelf.app_overview
      union select app from shelf.drains where revoked_at is null
      ${viewer.apps === null ? sql`` : sql`union select unnest(${viewer.apps}::text[])`}
    ),
    -- Which, before what: the rest is made for the rows of the page alone.
    page as (
      select app, count(*) over () as total, row_number() over (order by ${order}) as place
      from apps left join shelf.app_overview o using (app)
      where app ilike ${pattern}
        ${viewer.apps === null ? sql`` : sql`and app = any(${viewer.apps}::text[])`}
      order by place
      limit ${pageSize} offset ${(page - 1) * pageSize}
    ),
    -- The order is that of the table. Figures of it that are older than a minute are made now.
    kept as (
      select o.* from page join shelf.app_overview o using (app)
      where o.as_of >= ${lastMinute(sql)}
    ),
    figures as (
      select * from kept
      union all
      select * from shelf.overview(
        array(select app from page except select app from kept), ${lastMinute(sql)})
    )
    select app, coalesce(requests, 0) as requests, coalesce(recent, 0) as recent,
      coalesce(failed, 0) as failed, failed::float8 / nullif(recent, 0) as "errorRate", p95,
      to_jsonb(coalesce(sparkline, '{}')) as sparkline, memory, memory_share as "memoryShare",
      deployed_at as "deployedAt", deploy, completeness, last_at as "lastAt", total,
      ${lastMinute(sql)} as "asOf", (select max(as_of) from shelf.app_overview) as "sortedAsOf",
      clock_timestamp() as now
    from page left join figures using (app)
    order by place`
  const [first] = rows
  return {
    apps: rows.map(({ total, asOf, sortedAsOf, now, ...row }) => row),
    total: first?.total ?? 0,
    asOf: first?.asOf ?? null,
    sortedAsOf: first?.sortedAsOf ?? null,
    nowMs: first?.now.getTime() ?? Date.now(),
  }
}

/**
 * Makes the overview anew where it is old, and waits for it a moment.
 * @param inBackground keeps a runtime alive until the work is done
 */
export async function refreshApps(
  sql: Sql,
  inBackground: (work: Promise<unknown>) => void,
): Promise<void> {
  const [state] = await sql<{ isStale: boolean; isQuick: boolean }[]>`
    select coalesce(clock_timestamp() > at + greatest(${STALE_TIMES} * took,
        ${`${STALE_MS_MIN} ms`}::interval), true) as "isStale",
      coalesce(took < ${`${PATIENCE_MS} ms`}::interval, true) as "isQuick"
    from (
      select max(refreshed_at) as at, max(refreshed_at) - max(started_at) as took
      from shelf.app_overview
    ) last`
  if (state?.isStale !== true) return
  const work = sql.begin(async (transaction) => {
    // Of thousands of busy apps it takes longer than anybody waits for a page.
    await transaction`set local statement_timeout = ${sql.unsafe(`'${REFRESH_MS_MAX} ms'`)}`
    await transaction`select shelf.refresh_overview(${lastMinute(sql)})`
  })
  // Who waits for it no more has nobody to tell when it fails: the page says of when it is.
  const settled = work.then(
    () => {},
    () => {},
  )
  inBackground(settled)
  if (!state.isQuick) return
  await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))])
}
