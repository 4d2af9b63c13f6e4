/**
 * The tables of schema `shelf`, for drizzle. What they mean is said in the migrations, which also
 * hold what drizzle has no words for: partitions, the histogram type, functions and comments.
 */
import { sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  bigint,
  boolean,
  check,
  customType,
  doublePrecision,
  index,
  integer,
  interval,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'
import type { SparseHistogram } from '../core/histogram.ts'
import type { Rule } from '../core/rule.ts'

/**
 * The text form of a shelf.histogram, as it is sent to Postgres: `('…')::shelf.histogram`. Numbers
 * are printed so that they come back the same.
 */
export function histogramToText(histogram: SparseHistogram): string {
  const { zero, bins, counts, sum, min, max } = histogram
  return `(${zero},"{${bins.join(',')}}","{${counts.join(',')}}",${sum},${min ?? ''},${max ?? ''})`
}

const HISTOGRAM_TEXT = /^\((\d+),"?\{([-\d,]*)\}"?,"?\{([\d,]*)\}"?,([^,]+),([^,]*),([^,]*)\)$/

/** JSON is read several times as fast as pieces of a text are. */
function integers(list: string): number[] {
  return JSON.parse(`[${list}]`)
}

/** Reads the text form that Postgres prints. Throws TypeError or SyntaxError for any other text. */
export function histogramFromText(text: string): SparseHistogram {
  const found = HISTOGRAM_TEXT.exec(text)
  if (found === null) throw new TypeError(`not a shelf.histogram: ${text.slice(0, 80)}`)
  const [, zero = '', bins = '', counts = '', sum = '', min = '', max = ''] = found
  return {
    zero: Number(zero),
    bins: integers(bins),
    counts: integers(counts),
    sum: Number(sum),
    min: min === '' ? null : Number(min),
    max: max === '' ? null : Number(max),
  }
}

/** The text form of a time (Unix ms), as it is sent to Postgres. */
export function timeToText(timeMs: number): string {
  return new Date(timeMs).toISOString()
}

const histogram = customType<{ data: SparseHistogram; driverData: string }>({
  dataType: () => 'shelf.histogram',
  toDriver: histogramToText,
  fromDriver: histogramFromText,
})

const bytes = customType<{ data: Uint8Array }>({ dataType: () => 'bytea' })

const time = (name?: string) =>
  name === undefined ? timestamp({ withTimezone: true }) : timestamp(name, { withTimezone: true })

const total = (name?: string) =>
  (name === undefined ? bigint({ mode: 'number' }) : bigint(name, { mode: 'number' }))
    .notNull()
    .default(0)

export const shelf = pgSchema('shelf')

/** Rows of coarser tiers are those of the finer one, merged: all have the same columns. */
export type Tier = '1m' | '10m' | '1h' | '1d'

/** The end of the names of tables that hold rows of cells; those of a backfill are staged first. */
export type Rows = Tier | 'staged'

const requestsOf = (tier: Rows) =>
  shelf.table(
    `requests_${tier}`,
    {
      app: text().notNull(),
      process: text().notNull(),
      bucket: time().notNull(),
      requests: total(),
      status: jsonb().$type<Record<string, number>>().notNull().default({}),
      service: histogram().notNull().default(sql`'(0,{},{},0,,)'`),
      connect: histogram().notNull().default(sql`'(0,{},{},0,,)'`),
      bytes: total(),
    },
    (row) => [
      primaryKey({ name: `requests_${tier}_pkey`, columns: [row.app, row.process, row.bucket] }),
    ],
  )

const ledgerOf = (tier: Rows) =>
  shelf.table(
    `ledger_${tier}`,
    {
      app: text().notNull(),
      bucket: time().notNull(),
      received: total(),
      kept: total(),
      ignoredOutput: total('ignored_output'),
      ignoredUnknown: total('ignored_unknown'),
      malformed: total(),
      duplicates: total(),
      late: total(),
      future: total(),
      lostL10: total('lost_l10'),
      lostL12: total('lost_l12'),
      lostL13: total('lost_l13'),
      lostLog: total('lost_log'),
      deadLetters: total('dead_letters'),
      unreadable: total(),
      overLimit: total('over_limit'),
      logReplaced: total('log_replaced'),
      repartitioned: total(),
    },
    (row) => [primaryKey({ name: `ledger_${tier}_pkey`, columns: [row.app, row.bucket] })],
  )

/** What names a row of a metric. By minute before name: a minute's rows are written side by side. */
const metric = () => ({
  app: text().notNull(),
  process: text().notNull(),
  name: text().notNull(),
  source: text().notNull().default(''),
  bucket: time().notNull(),
})

const metricKey = (name: string, row: Record<keyof ReturnType<typeof metric>, AnyPgColumn>) =>
  primaryKey({ name, columns: [row.app, row.bucket, row.process, row.name, row.source] })

const gaugesOf = (tier: Rows) =>
  shelf.table(
    `gauges_${tier}`,
    {
      ...metric(),
      count: bigint({ mode: 'number' }).notNull(),
      sum: doublePrecision().notNull(),
      min: doublePrecision().notNull(),
      max: doublePrecision().notNull(),
      last: doublePrecision().notNull(),
      lastAt: time('last_at').notNull(),
    },
    (row) => [metricKey(`gauges_${tier}_pkey`, row)],
  )

const counters = () => ({ ...metric(), sum: doublePrecision().notNull() })

const countersOf = (tier: Tier) =>
  shelf.table(`counters_${tier}`, counters(), (row) => [
    metricKey(`counters_${tier}_pkey`, row),
    index(`counters_${tier}_maintenance`).on(row.app, row.bucket).where(sql`${row.name} = 'H80'`),
  ])

const histogramsOf = (tier: Rows) =>
  shelf.table(`histograms_${tier}`, { ...metric(), histogram: histogram().notNull() }, (row) => [
    metricKey(`histograms_${tier}_pkey`, row),
  ])

export const requests1m = requestsOf('1m')
export const ledger1m = ledgerOf('1m')
export const gauges1m = gaugesOf('1m')
export const counters1m = countersOf('1m')
export const histograms1m = histogramsOf('1m')

export const requests10m = requestsOf('10m')
export const ledger10m = ledgerOf('10m')
export const gauges10m = gaugesOf('10m')
export const counters10m = countersOf('10m')
export const histograms10m = histogramsOf('10m')

export const requests1h = requestsOf('1h')
export const ledger1h = ledgerOf('1h')
export const gauges1h = gaugesOf('1h')
export const counters1h = countersOf('1h')
export const histograms1h = histogramsOf('1h')

export const requests1d = requestsOf('1d')
export const ledger1d = ledgerOf('1d')
export const gauges1d = gaugesOf('1d')
export const counters1d = countersOf('1d')
export const histograms1d = histogramsOf('1d')

export const requestsStaged = requestsOf('staged')
export const ledgerStaged = ledgerOf('staged')
export const gaugesStaged = gaugesOf('staged')
export const countersStaged = shelf.table('counters_staged', counters(), (row) => [
  metricKey('counters_staged_pkey', row),
])
export const histogramsStaged = histogramsOf('staged')

export const tiers = shelf.table('tiers', {
  tier: text().primaryKey(),
  step: interval().notNull(),
  kept: interval(),
  closedUntil: time('closed_until'),
  compactedUntil: time('compacted_until'),
  droppedUntil: time('dropped_until'),
})

export const dirty = shelf.table(
  'dirty',
  { tier: text().notNull(), app: text().notNull(), bucket: time().notNull() },
  (row) => [primaryKey({ name: 'dirty_pkey', columns: [row.tier, row.app, row.bucket] })],
)

const markerLine = () => ({
  app: text().notNull(),
  time: time().notNull(),
  kind: text().notNull(),
  process: text().notNull().default(''),
  dyno: text().notNull().default(''),
  text: text().notNull().default(''),
  by: text().notNull().default(''),
})

const markerKey = (name: string, row: Record<keyof ReturnType<typeof markerLine>, AnyPgColumn>) =>
  primaryKey({ name, columns: [row.app, row.time, row.kind, row.process, row.dyno, row.text] })

export const markerLines = shelf.table('marker_lines', markerLine(), (row) => [
  markerKey('marker_lines_pkey', row),
  index('marker_lines_time').using('brin', row.time),
  index('marker_lines_kind').on(row.app, row.kind, row.process, row.time),
  index('marker_lines_changes')
    .on(row.app, row.time, row.kind)
    .where(sql`${row.kind} in ('deploy', 'rollback', 'config', 'addon', 'release')`),
])

export const markerLinesStaged = shelf.table('marker_lines_staged', markerLine(), (row) => [
  markerKey('marker_lines_staged_pkey', row),
])

const dyno = () => ({
  app: text().notNull(),
  dyno: text().notNull(),
  instance: text().notNull(),
  firstAt: time('first_at').notNull(),
  lastAt: time('last_at').notNull(),
})

export const dynos = shelf.table('dynos', dyno(), (row) => [
  primaryKey({ name: 'dynos_pkey', columns: [row.app, row.dyno, row.instance] }),
  index('dynos_first_at').on(row.app, row.firstAt),
])

export const dynosStaged = shelf.table('dynos_staged', dyno(), (row) => [
  primaryKey({ name: 'dynos_staged_pkey', columns: [row.app, row.dyno, row.instance] }),
])

export const backfill = shelf.table('backfill', {
  run: text().primaryKey(),
  arguments: text().notNull(),
  since: time().notNull(),
  until: time().notNull(),
  doneUntil: time('done_until').notNull(),
  startedAt: time('started_at').notNull().defaultNow(),
})

export const backfillProgress = shelf.table('backfill_progress', {
  partition: integer().primaryKey(),
  epoch: integer().notNull(),
  nextFrom: bigint('next_from', { mode: 'number' }).notNull(),
  nextPart: integer('next_part').notNull(),
})

export const progress = shelf.table('progress', {
  partition: integer().primaryKey(),
  nextFrom: total('next_from'),
  nextPart: integer('next_part').notNull().default(0),
  nextOffset: total('next_offset'),
  watermark: time(),
  updatedAt: time('updated_at').notNull().defaultNow(),
  epoch: integer().notNull().default(0),
})

export const drains = shelf.table('drains', {
  id: text().primaryKey(),
  app: text().notNull(),
  keyId: text('key_id').notNull(),
  createdAt: time('created_at').notNull().defaultNow(),
  revokedAt: time('revoked_at'),
})

export const tokens = shelf.table('tokens', {
  id: text().primaryKey(),
  hash: bytes().notNull().unique('tokens_hash_key'),
  label: text().notNull().default(''),
  apps: text().array(),
  createdAt: time('created_at').notNull().defaultNow(),
  revokedAt: time('revoked_at'),
})

export const appOverview = shelf.table('app_overview', {
  app: text().primaryKey(),
  asOf: time('as_of').notNull(),
  startedAt: time('started_at').notNull().defaultNow(),
  refreshedAt: time('refreshed_at').notNull().default(sql`clock_timestamp()`),
  requests: total(),
  recent: total(),
  failed: total(),
  p95: doublePrecision(),
  sparkline: integer().array().notNull().default([]),
  memory: doublePrecision(),
  memoryShare: doublePrecision('memory_share'),
  deployedAt: time('deployed_at'),
  deploy: text(),
  completeness: doublePrecision(),
  lastAt: time('last_at'),
})

export const deliveries = shelf.table(
  'deliveries',
  {
    key: text().primaryKey(),
    target: text().notNull(),
    severity: text().notNull(),
    title: text().notNull(),
    apps: text().array().notNull(),
    items: integer().notNull(),
    createdAt: time('created_at').notNull(),
    outcome: text().notNull(),
    tries: integer().notNull(),
    triedAt: time('tried_at').notNull(),
    retryAt: time('retry_at'),
    deliveredAt: time('delivered_at'),
    error: text(),
  },
  (row) => [index('deliveries_tried_at').on(row.triedAt)],
)

export const deliveryProgress = shelf.table(
  'delivery_progress',
  {
    singleton: boolean().primaryKey().default(true),
    nextOffset: total('next_offset'),
    updatedAt: time('updated_at').notNull().defaultNow(),
  },
  (row) => [check('delivery_progress_one', sql`${row.singleton}`)],
)

export const rules = shelf.table(
  'rules',
  {
    id: text().primaryKey(),
    revision: bigint({ mode: 'number' }).notNull(),
    definition: jsonb().$type<Rule>().notNull(),
    createdAt: time('created_at').notNull().defaultNow(),
    updatedAt: time('updated_at').notNull().defaultNow(),
    deletedAt: time('deleted_at'),
  },
  (row) => [index('rules_revision').on(row.revision)],
)

export const silences = shelf.table(
  'silences',
  {
    id: text().primaryKey(),
    revision: bigint({ mode: 'number' }).notNull(),
    app: text(),
    rule: text(),
    since: time().notNull(),
    until: time().notNull(),
    author: text().notNull(),
    reason: text().notNull(),
    createdAt: time('created_at').notNull().defaultNow(),
    deletedAt: time('deleted_at'),
  },
  (row) => [index('silences_revision').on(row.revision)],
)

/** What results and incidents say of their rule. */
const watched = () => ({
  name: text().notNull(),
  process: text(),
  metric: text().notNull(),
  operator: text().notNull(),
  threshold: doublePrecision().notNull(),
  severity: text().notNull(),
})

export const checkResults = shelf.table(
  'check_results',
  {
    app: text().notNull(),
    rule: text().notNull(),
    windowUntil: time('window_until').notNull(),
    kind: text().notNull(),
    windowSince: time('window_since').notNull(),
    decidedAt: time('decided_at').notNull(),
    ruleRevision: bigint('rule_revision', { mode: 'number' }).notNull(),
    ...watched(),
    state: text().notNull(),
    previous: text().notNull(),
    value: doublePrecision(),
    count: bigint({ mode: 'number' }).notNull(),
    completeness: doublePrecision(),
    incident: text(),
    muted: text(),
  },
  (row) => [
    primaryKey({
      name: 'check_results_pkey',
      columns: [row.app, row.rule, row.windowUntil, row.kind],
    }),
    index('check_results_decided_at').on(row.decidedAt),
  ],
)

export const incidents = shelf.table(
  'incidents',
  {
    id: text().notNull(),
    app: text().notNull(),
    rule: text().notNull(),
    ...watched(),
    state: text().notNull(),
    since: time().notNull(),
    startedAt: time('started_at').notNull(),
    detectedAt: time('detected_at').notNull(),
    timeToDetect: interval('time_to_detect').generatedAlwaysAs(sql`detected_at - since`),
    saidAt: time('said_at'),
    endedAt: time('ended_at'),
    firstValue: doublePrecision('first_value'),
    lastValue: doublePrecision('last_value'),
    reminders: integer().notNull().default(0),
    muted: text(),
  },
  (row) => [
    primaryKey({ name: 'incidents_pkey', columns: [row.app, row.id] }),
    index('incidents_started_at').on(row.startedAt),
  ],
)

export const checkProgress = shelf.table('check_progress', {
  partition: integer().primaryKey(),
  nextOffset: total('next_offset'),
  updatedAt: time('updated_at').notNull().defaultNow(),
  decidedUntil: time('decided_until'),
})
