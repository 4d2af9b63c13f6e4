/** What the API takes and answers, as OpenAPI tells it. */
import { z } from '@hono/zod-openapi'
import { lengthMs } from '../range.ts'

const time = z.iso.datetime({ offset: true })

export const appParam = z.object({
  app: z.string().openapi({ param: { in: 'path', name: 'app' }, example: 'my-app' }),
})

export const rangeParams = z.object({
  range: z
    .string()
    .optional()
    .openapi({ description: 'What ends now: 2h, 24h, 7d, 30d, 1y. Default 24h.', example: '24h' }),
  since: time.optional().openapi({ description: 'From here on, instead of range.' }),
  until: time.optional().openapi({ description: 'Before this. Default: now.' }),
  process: z.string().max(64).optional().openapi({ description: 'Of this process type only.' }),
})

export const rowsParams = rangeParams.extend({
  step: z
    .string()
    .refine((text) => lengthMs(text) !== undefined, 'a step is 1m, 10m, 1h, 1d and the like')
    .optional()
    .openapi({ description: 'How long a bucket is; without it, 200 at most.', example: '10m' }),
  format: z.enum(['json', 'csv']).optional().openapi({ description: 'Or by Accept: text/csv.' }),
})

export const nameParam = rowsParams.extend({
  name: z
    .string()
    .min(1)
    .max(200)
    .openapi({ description: 'As in the tables.', example: 'memory_total' }),
})

export const problem = z.object({ error: z.string(), status: z.number() }).openapi('Problem')

/** PostgreSQL's timestamps, as JSON has them. */
const bucket = z.iso.datetime()
const number = z.number()
const maybe = z.number().nullable()

export const requestStats = z
  .object({
    process: z.string(),
    bucket,
    requests: number,
    ok: number,
    failed: number,
    p50: maybe,
    p95: maybe,
    p99: maybe,
    max: maybe,
    mean: maybe,
    status: z.record(z.string(), number),
    completeness: maybe,
  })
  .openapi('RequestStats')

export const errorRow = z
  .object({
    process: z.string(),
    bucket,
    code: z.string(),
    errors: number,
    level: z.enum(['critical', 'warning', 'info']),
  })
  .openapi('Errors')

export const memoryRow = z
  .object({
    process: z.string(),
    bucket,
    total_mean: maybe,
    total_max: maybe,
    rss_mean: maybe,
    swap_max: maybe,
    quota: maybe,
  })
  .openapi('Memory')

export const gaugeStats = z
  .object({
    process: z.string(),
    source: z.string(),
    bucket,
    count: number,
    mean: number,
    min: number,
    max: number,
    last: number,
    completeness: maybe,
  })
  .openapi('GaugeStats')

export const counterStats = z
  .object({
    process: z.string(),
    source: z.string(),
    bucket,
    sum: number,
    per_second: number,
    completeness: maybe,
  })
  .openapi('CounterStats')

export const histogramStats = z
  .object({
    process: z.string(),
    source: z.string(),
    bucket,
    count: number,
    p50: maybe,
    p95: maybe,
    p99: maybe,
    max: maybe,
    mean: maybe,
    completeness: maybe,
  })
  .openapi('HistogramStats')

export const completenessRow = z
  .object({ bucket, received: number, read: number, lost: number, completeness: maybe })
  .openapi('Completeness')

export const markerRow = z
  .object({
    time: z.iso.datetime(),
    kind: z.string(),
    process: z.string(),
    text: z.string(),
    by: z.string(),
    detail: z.record(z.string(), z.unknown()),
  })
  .openapi('Marker')

export const incidentRow = z
  .object({
    rule: z.string(),
    name: z.string(),
    process: z.string().nullable(),
    metric: z.string(),
    operator: z.string(),
    threshold: number,
    severity: z.string(),
    state: z.string(),
    since: z.iso.datetime(),
    started_at: z.iso.datetime(),
    detected_at: z.iso.datetime(),
    ended_at: z.iso.datetime().nullable(),
    seconds_to_detect: number,
    first_value: maybe,
    last_value: maybe,
    reminders: number,
    muted: z.string().nullable(),
  })
  .openapi('Incident')

export const releaseRow = z
  .object({
    time: z.iso.datetime(),
    kind: z.string(),
    text: z.string(),
    version: z.string().nullable(),
    requests_before: number,
    requests_after: number,
    error_rate_before: maybe,
    error_rate_after: maybe,
    p50_before: maybe,
    p50_after: maybe,
    p95_before: maybe,
    p95_after: maybe,
    p99_before: maybe,
    p99_after: maybe,
  })
  .openapi('ReleaseImpact')

export const appRow = z
  .object({
    app: z.string(),
    requests: number.openapi({ description: 'of the hour' }),
    recent: number.openapi({ description: 'of its last 10 minutes, as failed, p95, memory' }),
    failed: number,
    errorRate: maybe,
    p95: maybe,
    sparkline: z.array(maybe).openapi({ description: 'requests of 60 minutes; null: no data' }),
    memory: maybe.openapi({ description: 'bytes' }),
    memoryShare: maybe,
    deployedAt: z.iso.datetime().nullable(),
    deploy: z.string().nullable(),
    completeness: maybe,
    lastAt: z.iso.datetime().nullable(),
  })
  .openapi('App')
