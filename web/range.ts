/** A range of time as the URL has it, and the step that gives it enough points and not too many. */
import * as z from 'zod'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

const UNIT_MS: Record<string, number> = {
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
  w: 7 * DAY_MS,
  y: 365 * DAY_MS,
}

/** Those that a click away are. */
export const RANGES = ['2h', '24h', '72h', '7d', '30d', '1y'] as const
export const RANGE_DEFAULT = '24h'

/** Each is made of whole buckets of a tier, and of all finer tiers. */
const STEPS_MS = [
  ...[1, 2, 5, 10, 20, 30].map((n) => n * MINUTE_MS),
  ...[1, 2, 3, 4, 6, 12].map((n) => n * HOUR_MS),
  ...[1, 7].map((n) => n * DAY_MS),
]

/** More points than this are finer than a chart can show. */
const POINTS_MAX = 200
/** A year by days is one row of each. */
const DAYS_MAX = 1100

const SPAN_MS_MIN = MINUTE_MS
const SPAN_MS_MAX = 10 * 365 * DAY_MS
/** Times that PostgreSQL and Date both know. */
const TIME_MS_MAX = Date.parse('2200-01-01')

export interface Range {
  sinceMs: number
  untilMs: number
  stepMs: number
  /** As the URL has it, where it ends now. */
  relative: string | undefined
}

/** @returns a length, ms, of `2h`, `30m`, `7d`, `2w`, `1y`; undefined for anything else */
export function lengthMs(text: string): number | undefined {
  const [, count = '', unit = ''] = /^(\d{1,5})([mhdwy])$/.exec(text) ?? []
  const ms = Number(count) * (UNIT_MS[unit] ?? Number.NaN)
  return ms >= SPAN_MS_MIN && ms <= SPAN_MS_MAX ? ms : undefined
}

/** The step of a span: the finest that gives 200 points at most, and a multiple of `leastMs`. */
export function stepFor(spanMs: number, leastMs = MINUTE_MS): number {
  const fits = (stepMs: number): boolean =>
    stepMs % leastMs === 0 && spanMs / stepMs <= (stepMs === DAY_MS ? DAYS_MAX : POINTS_MAX)
  return STEPS_MS.find(fits) ?? 7 * DAY_MS
}

const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))

/** What the URL may hold of a range. */
export const rangeQuery = z
  .object({
    range: z.string().optional(),
    since: time.optional(),
    until: time.optional(),
  })
  .superRefine(({ range, since, until }, context) => {
    const problem = problemOf(range, since, until)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  })

export type RangeQuery = z.infer<typeof rangeQuery>

function problemOf(
  range: string | undefined,
  since: number | undefined,
  until: number | undefined,
): string | undefined {
  if (range !== undefined && lengthMs(range) === undefined) {
    return 'a range is a number and m, h, d, w or y: 2h, 7d; up to 10y'
  }
  if (until !== undefined && since === undefined) return 'until wants a since'
  if (since === undefined) return undefined
  if (since < 0 || (until ?? 0) > TIME_MS_MAX) return 'a time lies between 1970 and 2200'
  const spanMs = (until ?? Date.now()) - since
  if (spanMs < SPAN_MS_MIN || spanMs > SPAN_MS_MAX) {
    return 'until is at least a minute, and at most 10 years, after since'
  }
  return undefined
}

/**
 * The range that a URL means, in whole steps. A relative one ends now.
 * @param leastMs how fine the tables are that far back, ms: the step is a multiple of it
 */
export function rangeOf(
  { range, since, until }: RangeQuery,
  nowMs: number,
  leastMs: (sinceMs: number) => number = () => MINUTE_MS,
): Range {
  const relative = since === undefined ? (range ?? RANGE_DEFAULT) : undefined
  const from = since ?? nowMs - (lengthMs(relative ?? RANGE_DEFAULT) ?? DAY_MS)
  const to = until ?? nowMs
  const stepMs = stepFor(to - from, leastMs(from))
  return {
    sinceMs: Math.floor(from / stepMs) * stepMs,
    untilMs: Math.ceil(to / stepMs) * stepMs,
    stepMs,
    relative,
  }
}
