/** What was done to an app, and what its dynos did. */
import type { Sql } from '../../db/client.ts'
import { timeToText } from '../../db/schema.ts'
import type { Span } from './span.ts'

/** More lines than that hide the charts. */
const MARKERS_MAX = 300
const RELEASES_MAX = 50

export interface Marker {
  /** Seconds since 1970. */
  time: number
  kind: string
  process: string
  text: string
  /** Who, as a short keyed hash. */
  by: string
  detail: Record<string, unknown>
}

/** The newest 300, oldest first. Boots and builds are left out: what brought them is there. */
export async function readMarkers(
  sql: Sql,
  { app, sinceMs, untilMs }: Omit<Span, 'stepMs'>,
): Promise<Marker[]> {
  const rows = await sql<Marker[]>`
    select extract(epoch from time)::float8 as time, kind, process, text, by, detail
    from shelf.markers
    where app = ${app} and time >= ${timeToText(sinceMs)} and time < ${timeToText(untilMs)}
      and kind not in ('boot', 'build')
    order by time desc limit ${MARKERS_MAX}`
  return rows.toReversed()
}

/** A release and what it did: 30 minutes before and after. */
export interface ReleaseImpact {
  time: Date
  kind: string
  text: string
  version: string | null
  requests_before: number
  requests_after: number
  error_rate_before: number | null
  error_rate_after: number | null
  p50_before: number | null
  p50_after: number | null
  p95_before: number | null
  p95_after: number | null
  p99_before: number | null
  p99_after: number | null
}

/** shelf.release_impact of the releases in a range, the newest first, at most 50. */
export async function readReleases(
  sql: Sql,
  { app, sinceMs, untilMs }: Omit<Span, 'stepMs'>,
): Promise<ReleaseImpact[]> {
  return await sql<ReleaseImpact[]>`
    select time, kind, text, version, requests_before, requests_after,
      error_rate_before, error_rate_after, p50_before, p50_after, p95_before, p95_after,
      p99_before, p99_after
    from shelf.release_impact
    where app = ${app} and time >= ${timeToText(sinceMs)} and time < ${timeToText(untilMs)}
    order by time desc limit ${RELEASES_MAX}`
}
