/** The list of apps, from shelf.app_overview, which is made anew when somebody looks. */
import type { Sql } from '../../db/client.ts'
import type { Viewer } from '../access.ts'

/** Rows of shelf.app_overview older than this are made anew. */
const STALE_MS_MIN = 5000
/** An app takes about 0.5 ms: so that takes a twentieth of a core at most. */
const STALE_MS_PER_APP = 12
/** A few apps are made in this time; more are made while the page shows what there was. */
const PATIENCE_MS = 150

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
  errors: 'failed::float8 / nullif(requests, 0)',
  memory: 'memory_share',
  deployed: 'deployed_at',
  completeness: 'completeness',
  fresh: 'last_at',
}

export interface AppRow {
  app: string
  requests: number
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
  /** When their figures were made, of the hour before; null: none were made yet. */
  asOf: Date | null
  nowMs: number
}

/** A page of the apps that a viewer may see. Apps with a drain and no data come with no figures. */
export async function readApps(sql: Sql, viewer: Viewer, query: AppsQuery): Promise<AppList> {
  const { search, sort, isDescending, page, pageSize } = query
  // Escaped, so that a search for a_b is one for a_b.
  const pattern = `%${search.replace(/[\\%_]/g, '\\$&')}%`
  const order = sql.unsafe(`${SORTS[sort]} ${isDescending ? 'desc' : 'asc'} nulls last, app`)
  const rows = await sql<(AppRow & { total: number; asOf: Date | null; now: Date })[]>`
    with apps as (
      select app from shelf.app_overview
      union select app from shelf.drains where revoked_at is null
      ${viewer.apps === null ? sql`` : sql`union select unnest(${viewer.apps}::text[])`}
    )
    select app, coalesce(requests, 0) as requests, coalesce(failed, 0) as failed,
      failed::float8 / nullif(requests, 0) as "errorRate", p95,
      to_jsonb(coalesce(sparkline, '{}')) as sparkline, memory, memory_share as "memoryShare",
      deployed_at as "deployedAt", deploy, completeness, last_at as "lastAt",
      count(*) over () as total, (select max(refreshed_at) from shelf.app_overview) as "asOf",
      clock_timestamp() as now
    from apps left join shelf.app_overview o using (app)
    where app ilike ${pattern}
      ${viewer.apps === null ? sql`` : sql`and app = any(${viewer.apps}::text[])`}
    order by ${order}
    limit ${pageSize} offset ${(page - 1) * pageSize}`
  const [first] = rows
  return {
    apps: rows.map(({ total: _total, asOf: _asOf, now: _now, ...row }) => row),
    total: first?.total ?? 0,
    asOf: first?.asOf ?? null,
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
  const work = refresh(sql)
  inBackground(work.catch(() => {}))
  await Promise.race([work, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))])
}

async function refresh(sql: Sql): Promise<void> {
  const [state] = await sql<{ isStale: boolean }[]>`
    select coalesce(max(refreshed_at) < now() - interval '1 millisecond'
      * greatest(${STALE_MS_MIN}::int, count(*) * ${STALE_MS_PER_APP}::int), true) as "isStale"
    from shelf.app_overview`
  // Up to the end of the current minute: what came a moment ago shows.
  if (state?.isStale !== true) return
  await sql`
    select shelf.refresh_overview(
      date_bin('1 minute', clock_timestamp(), '1970-01-01 00:00+00') + interval '1 minute')`
}
