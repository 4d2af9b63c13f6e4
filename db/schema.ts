/**
 * The tables of schema `shelf`, for drizzle. What they mean is said in the migrations, which also
 * hold what drizzle has no words for: partitions, the histogram type, functions and comments.
 */
import { sql } from 'drizzle-orm'
import {
  bigint,
  customType,
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
  },
  (row) => [primaryKey({ name: 'ledger_1m_pkey', columns: [row.app, row.bucket] })],
)

export const progress = shelf.table('progress', {
  partition: integer().primaryKey(),
  nextFrom: total('next_from'),
  nextPart: integer('next_part').notNull().default(0),
  nextOffset: total('next_offset'),
  watermark: time(),
  updatedAt: time('updated_at').notNull().defaultNow(),
})

export const drains = shelf.table('drains', {
  id: text().primaryKey(),
  app: text().notNull(),
  keyId: text('key_id').notNull(),
  createdAt: time('created_at').notNull().defaultNow(),
  revokedAt: time('revoked_at'),
})
