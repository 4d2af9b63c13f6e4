/** What every read is asked for. */
import type { Sql } from '../../db/client.ts'
import { timeToText } from '../../db/schema.ts'

export interface Span {
  app: string
  sinceMs: number
  untilMs: number
  stepMs: number
}

/** The last three arguments of shelf.requests_at and its kin. */
export const times = (sql: Sql, { sinceMs, untilMs, stepMs }: Omit<Span, 'app'>) => sql`
  ${timeToText(sinceMs)}::timestamptz, ${timeToText(untilMs)}::timestamptz,
  ${`${stepMs / 1000} seconds`}::interval`

/** Where a bucket begins, seconds since 1970. */
export const bucketSeconds = (sql: Sql) => sql`extract(epoch from bucket)::float8`

/** Of one process type, or of all. */
export const ofProcess = (sql: Sql, process: string | undefined) =>
  process === undefined ? sql`true` : sql`process = ${process}`

/** Where each bucket of a span begins, seconds since 1970. */
export function bucketsOf({ sinceMs, untilMs, stepMs }: Omit<Span, 'app'>): number[] {
  const count = Math.ceil((untilMs - sinceMs) / stepMs)
  return Array.from({ length: count }, (_, i) => (sinceMs + i * stepMs) / 1000)
}
