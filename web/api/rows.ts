/** Answers of the SQL functions, row by row, as JSON or CSV. */
import { createRoute, type OpenAPIHono, type z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { Sql } from '../../db/client.ts'
import { timeToText } from '../../db/schema.ts'
import type { Env } from '../context.ts'
import { toCsv } from '../csv.ts'
import { lengthMs, type Range, rangeOf, rangeQuery } from '../range.ts'
import { finestStepMs } from '../read/truth.ts'
import {
  appParam,
  completenessRow,
  counterStats,
  errorRow,
  gaugeStats,
  histogramStats,
  incidentRow,
  markerRow,
  memoryRow,
  nameParam,
  problem,
  releaseRow,
  requestStats,
  rowsParams,
} from './schemas.ts'

interface Asked {
  app: string
  since: string
  until: string
  step: string
  name: string
}

type Rows = readonly Record<string, unknown>[]

interface Reading {
  /** Behind /api/apps/{app}/ */
  path: string
  summary: string
  row: z.ZodObject
  hasName?: boolean
  read(sql: Sql, asked: Asked): Promise<Rows>
}

const READINGS: Reading[] = [
  {
    path: 'requests',
    summary: 'shelf.request_stats: requests by process type and step',
    row: requestStats,
    read: (sql, { app, since, until, step }) =>
      sql`select * from shelf.request_stats(${app}, ${since}, ${until}, ${step}::interval)`,
  },
  {
    path: 'errors',
    summary: "shelf.errors_at: the platform's errors by code",
    row: errorRow,
    read: (sql, { app, since, until, step }) => sql`
      select process, bucket, code, errors, level
      from shelf.errors_at(array[${app}], ${since}, ${until}, ${step}::interval)
      order by bucket, process, code`,
  },
  {
    path: 'memory',
    summary: 'Memory of dynos against the quota, bytes, as in shelf.memory',
    row: memoryRow,
    read: (sql, { app, since, until, step }) => sql`
      select process, bucket,
        max(sum / count) filter (where name = 'memory_total') as total_mean,
        max(max) filter (where name = 'memory_total') as total_max,
        max(sum / count) filter (where name = 'memory_rss') as rss_mean,
        max(max) filter (where name = 'memory_swap') as swap_max,
        max(max) filter (where name = 'memory_quota') as quota
      from shelf.gauges_at(
        array[${app}], array['memory_total', 'memory_rss', 'memory_swap', 'memory_quota'],
        ${since}, ${until}, ${step}::interval)
      where source = ''
      group by process, bucket order by bucket, process`,
  },
  {
    path: 'gauges',
    summary: 'shelf.gauge_stats: a gauge by process type, source and step',
    row: gaugeStats,
    hasName: true,
    read: (sql, { app, name, since, until, step }) => sql`
      select * from shelf.gauge_stats(${app}, ${name}, ${since}, ${until}, ${step}::interval)`,
  },
  {
    path: 'counters',
    summary: 'shelf.counter_stats: a counter by process type, source and step',
    row: counterStats,
    hasName: true,
    read: (sql, { app, name, since, until, step }) => sql`
      select * from shelf.counter_stats(${app}, ${name}, ${since}, ${until}, ${step}::interval)`,
  },
  {
    path: 'histograms',
    summary: 'shelf.histogram_stats: measurements by process type, source and step',
    row: histogramStats,
    hasName: true,
    read: (sql, { app, name, since, until, step }) => sql`
      select * from shelf.histogram_stats(${app}, ${name}, ${since}, ${until}, ${step}::interval)`,
  },
  {
    path: 'completeness',
    summary: 'shelf.completeness_at: how much of what was sent was read',
    row: completenessRow,
    read: (sql, { app, since, until, step }) => sql`
      select bucket, received, read, lost, completeness
      from shelf.completeness_at(array[${app}], ${since}, ${until}, ${step}::interval)
      order by bucket`,
  },
  {
    path: 'markers',
    summary: 'shelf.markers: deploys, restarts, scaling, config, crashes',
    row: markerRow,
    read: (sql, { app, since, until }) => sql`
      select time, kind, process, text, by, detail from shelf.markers
      where app = ${app} and time >= ${since} and time < ${until} order by time, kind, process`,
  },
  {
    path: 'releases',
    summary: 'shelf.release_impact: 30 minutes before and after each release',
    row: releaseRow,
    read: (sql, { app, since, until }) => sql`
      select time, kind, text, version, requests_before, requests_after, error_rate_before,
        error_rate_after, p50_before, p50_after, p95_before, p95_after, p99_before, p99_after
      from shelf.release_impact
      where app = ${app} and time >= ${since} and time < ${until} order by time`,
  },
  {
    path: 'incidents',
    summary: 'shelf.incidents: from when to when rules fired, and how soon that was known',
    row: incidentRow,
    read: (sql, { app, since, until }) => sql`
      select rule, name, process, metric, operator, threshold, severity, state, since, started_at,
        detected_at, ended_at, extract(epoch from time_to_detect)::float8 as seconds_to_detect,
        first_value, last_value, reminders, muted
      from shelf.incidents
      where app = ${app} and since < ${until} and coalesce(ended_at, 'infinity') >= ${since}
      order by started_at, id`,
  },
]

export const PROBLEMS = {
  400: { description: 'Bad parameters', content: { 'application/json': { schema: problem } } },
  401: { description: 'No valid token', content: { 'application/json': { schema: problem } } },
  404: {
    description: 'No such app, or not for this viewer',
    content: { 'application/json': { schema: problem } },
  },
}

export function rowRoutes(api: OpenAPIHono<Env>): void {
  for (const { path, summary, row, hasName, read } of READINGS) {
    const query = hasName ? nameParam : rowsParams
    const rows = row.array()
    const route = createRoute({
      method: 'get',
      path: `/api/apps/{app}/${path}`,
      summary,
      request: { params: appParam, query },
      responses: {
        200: {
          description: 'Rows, oldest first',
          content: { 'application/json': { schema: rows }, 'text/csv': { schema: rows } },
        },
        ...PROBLEMS,
      },
    })
    api.openAPIRegistry.registerPath(route)
    api.get(`/api/apps/:app/${path}`, async (c) => {
      const asked = query.parse(c.req.query())
      const range = exactRange(c)
      const process = c.req.query('process')
      const found = await read(c.env.sql, {
        app: c.req.param('app'),
        since: timeToText(range.sinceMs),
        until: timeToText(range.untilMs),
        step: `${(lengthMs(asked.step ?? '') ?? range.stepMs) / 1000} seconds`,
        name: c.req.query('name') ?? '',
      })
      const kept = process === undefined ? found : found.filter((each) => each.process === process)
      if (!wantsCsv(c)) return c.json(kept)
      c.header('content-type', 'text/csv; charset=utf-8')
      c.header('content-disposition', `attachment; filename="${c.req.param('app')}-${path}.csv"`)
      return c.body(toCsv(Object.keys(row.shape), kept))
    })
  }
}

const wantsCsv = (c: Context<Env>): boolean =>
  c.req.query('format') === 'csv' ||
  (c.req.query('format') === undefined && (c.req.header('accept') ?? '').startsWith('text/csv'))

/** As the page has it; but what since and until say is not rounded. */
function exactRange(c: Context<Env>): Range {
  const query = rangeQuery.parse(c.req.query())
  const facts = c.get('facts')
  const range = rangeOf(query, facts.nowMs, (sinceMs) => finestStepMs(facts, sinceMs))
  if (query.since === undefined) return range
  return { ...range, sinceMs: query.since, untilMs: query.until ?? range.untilMs }
}
