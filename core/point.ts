/** Points: single values of a metric, as log lines and agents report them. */

/** Gauges are states (memory), counters add up (errors), measures are distributed (latencies). */
export const POINT_KINDS = ['gauge', 'counter', 'measure'] as const

export type PointKind = (typeof POINT_KINDS)[number]

export interface Point {
  kind: PointKind
  /** Unix ms. */
  timeMs: number
  /** The process type; `heroku-postgres` and the like for add-ons; empty for the app as a whole. */
  process: string
  /**
   * The metric. Where it comes from stands before it: `memory_rss`, `load_avg_1m`, `R14` of the
   * platform bare; `exit.137`; `postgres.db_size`; `custom.db.latency`; `runtime.jvm_…`.
   */
  name: string
  /** What tells several of one kind apart: a database's colour and add-on, `source=`. Or empty. */
  source: string
  /** In base units: bytes, seconds, ratios. */
  value: number
}

/** Longest name of a metric, a process or a source that is taken. */
export const NAME_CHARS_MAX = 100

/** No spaces, no @: what could be an address or free text is no name. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]*$/

/** Long stretches that mix digits and letters, or of digits alone, are ids or secrets, not names. */
const TOKEN = /(?=[A-Za-z]*\d)[A-Za-z0-9]{20,}|\d{8,}/

/** UUIDs: of users, sessions, requests. Without dashes they are tokens. */
const UUID = /[0-9a-f]{8}[-_.][0-9a-f]{4}[-_.][0-9a-f]{4}[-_.][0-9a-f]{4}[-_.][0-9a-f]{12}/i

/** IP addresses, also as names write them, `203_0_113_4`. */
const IPV4 = /(?<!\d)\d{1,3}(?:[._-]\d{1,3}){3}(?!\d)/
const IPV6 = /(?<![A-Za-z0-9])(?=[a-f:]*\d)[0-9a-f]{1,4}(?:::?[0-9a-f]{1,4}){2,}/i

const PERSONAL = [TOKEN, UUID, IPV4, IPV6]

/** Whether `text` may name a metric, a process or a source. What identifies a person may not. */
export function isName(text: string): boolean {
  return text.length <= NAME_CHARS_MAX && NAME.test(text) && !PERSONAL.some((id) => id.test(text))
}
