/**
 * The tables of schema `shelf`, for drizzle. What they mean is said in the migrations, which also
 * hold what drizzle has no words for: partitions, the histogram type, functions and comments.
 */
import { sql } from 'drizzle-orm'
import {
  bigint,
  customType,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'
import type { SparseHistogram } from '../core/histogram.ts'

/**
 * The text form of a shelf.histogram, as it is sent to Postgres: `('…')::shelf.histogram`. Numbers
 * are printed so that they come back the same.
 */
export function histogramToText(histogram: SparseHistogram): string {
  const { zero, bins, counts, sum, min, max } = histogram
  return `(${zero},"{${bins.join(',')}}","{${counts.join(',')}}",${sum},${min ?? ''},${max ?? ''})`
}

const HISTOGRAM_TEXT = /^\((\d+),"?\{([-\d,]*)\}"?,"?\{([\d,]*)\}"?,([^,]+),([^,]*),([^,]*)\)$/

function integers(list: string): number[] {
  return list === '' ? [] : list.split(',').map(Number)
}

/** Reads the text form that Postgres prints. Throws TypeError for any other text. */
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

const time = (name?: string) =>
  name === undefined ? timestamp({ withTimezone: true }) : timestamp(name, { withTimezone: true })

const total = (name?: string) =>
  (name === undefined ? bigint({ mode: 'number' }) : bigint(name, { mode: 'number' }))
    .notNull()
    .default(0)

export const shelf = pgSchema('shelf')

export const requests1m = shelf.table(
  'requests_1m',
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
  (row) => [primaryKey({ name: 'requests_1m_pkey', columns: [row.app, row.process, row.bucket] })],
)

export const ledger1m = shelf.table(
  'ledger_1m',
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
  (row) => [primaryKey({ name: 'ledger_1m_pkey', columns: [row.app, row.bucket] })],
)

/** What names a row of a metric. By minute before name: a minute's rows are written side by side. */
const metric = () => ({
  app: text().notNull(),
  process: text().notNull(),
  name: text().notNull(),
  source: text().notNull().default(''),
  bucket: time().notNull(),
})

export const gauges1m = shelf.table(
  'gauges_1m',
  {
    ...metric(),
    count: bigint({ mode: 'number' }).notNull(),
    sum: doublePrecision().notNull(),
    min: doublePrecision().notNull(),
    max: doublePrecision().notNull(),
    last: doublePrecision().notNull(),
    lastAt: time('last_at').notNull(),
  },
  (row) => [
    primaryKey({
      name: 'gauges_1m_pkey',
      columns: [row.app, row.bucket, row.process, row.name, row.source],
    }),
  ],
)

export const counters1m = shelf.table(
  'counters_1m',
  { ...metric(), sum: doublePrecision().notNull() },
  (row) => [
    primaryKey({
      name: 'counters_1m_pkey',
      columns: [row.app, row.bucket, row.process, row.name, row.source],
    }),
    index('counters_1m_maintenance').on(row.app, row.bucket).where(sql`${row.name} = 'H80'`),
  ],
)

export const histograms1m = shelf.table(
  'histograms_1m',
  { ...metric(), histogram: histogram().notNull() },
  (row) => [
    primaryKey({
      name: 'histograms_1m_pkey',
      columns: [row.app, row.bucket, row.process, row.name, row.source],
    }),
  ],
)

export const markerLines = shelf.table(
  'marker_lines',
  {
    app: text().notNull(),
    time: time().notNull(),
    kind: text().notNull(),
    process: text().notNull().default(''),
    dyno: text().notNull().default(''),
    text: text().notNull().default(''),
    by: text().notNull().default(''),
  },
  (row) => [
    primaryKey({
      name: 'marker_lines_pkey',
      columns: [row.app, row.time, row.kind, row.process, row.dyno, row.text],
    }),
    index('marker_lines_kind').on(row.app, row.kind, row.process, row.time),
    index('marker_lines_changes')
      .on(row.app, row.time, row.kind)
      .where(sql`${row.kind} in ('deploy', 'rollback', 'config', 'addon', 'release')`),
  ],
)

export const dynos = shelf.table(
  'dynos',
  {
    app: text().notNull(),
    dyno: text().notNull(),
    instance: text().notNull(),
    firstAt: time('first_at').notNull(),
    lastAt: time('last_at').notNull(),
  },
  (row) => [
    primaryKey({ name: 'dynos_pkey', columns: [row.app, row.dyno, row.instance] }),
    index('dynos_first_at').on(row.app, row.firstAt),
  ],
)

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
