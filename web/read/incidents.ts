/** What rules said: rows of shelf.incidents. */
import type { Sql } from '../../db/client.ts'
import { timeToText } from '../../db/schema.ts'
import type { Viewer } from '../access.ts'
import type { Marker } from './markers.ts'
import type { Span } from './span.ts'

const INCIDENTS_MAX = 200
/** More flags than that hide the charts. */
const MARKERS_MAX = 100

export interface Incident {
  app: string
  rule: string
  name: string
  process: string | null
  metric: string
  operator: string
  threshold: number
  severity: string
  state: string
  since: Date
  startedAt: Date
  endedAt: Date | null
  /** Seconds from the start of the window until it was known. */
  detectSeconds: number
  firstValue: number | null
  lastValue: number | null
  reminders: number
  muted: string | null
}

/**
 * Up to when all windows of all apps are decided, by the time of the events; null where check has
 * never run. Partitions of which nothing was decided yet are left out.
 */
export async function readDecidedUntil(sql: Sql): Promise<Date | null> {
  const [row] = await sql<{ until: Date | null }[]>`
    select min(decided_until) as until from shelf.check_progress`
  return row?.until ?? null
}

/** Of the apps that a viewer may see: those that are open, then the newest; at most 200. */
export async function readIncidents(sql: Sql, { apps }: Viewer): Promise<Incident[]> {
  return await sql<Incident[]>`
    select app, rule, name, process, metric, operator, threshold, severity, state, since,
      started_at as "startedAt", ended_at as "endedAt",
      extract(epoch from time_to_detect)::float8 as "detectSeconds",
      first_value as "firstValue", last_value as "lastValue", reminders, muted
    from shelf.incidents
    where ${apps === null ? sql`true` : sql`app = any(${apps}::text[])`}
    order by (ended_at is null) desc, started_at desc limit ${INCIDENTS_MAX}`
}

/** The incidents of an app that lie in a span, as markers of its charts, oldest first. */
export async function readIncidentMarkers(
  sql: Sql,
  { app, sinceMs, untilMs }: Omit<Span, 'stepMs'>,
): Promise<Marker[]> {
  const rows = await sql<Marker[]>`
    select extract(epoch from greatest(since, ${timeToText(sinceMs)}::timestamptz))::float8 as time, 'incident' as kind,
      coalesce(process, '') as process, name as text, '' as by,
      jsonb_build_object('severity', severity, 'state', state, 'until', ended_at,
        'detected', detected_at) as detail
    from shelf.incidents
    where app = ${app} and since < ${timeToText(untilMs)}
      and coalesce(ended_at, 'infinity') >= ${timeToText(sinceMs)}
    order by started_at desc limit ${MARKERS_MAX}`
  return rows.toReversed()
}
