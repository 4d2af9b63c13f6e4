/** A rule on the past, for the page that shows it. */
import type { CheckResult } from '../core/check-result.ts'
import type { Rule } from '../core/rule.ts'
import type { Sql } from '../db/client.ts'
import { firstRowMs, tryRule } from '../db/rule-history.ts'

export const DAYS = [7, 30, 90] as const

/** More are counted, not told one by one. */
const TOLD_MAX = 200
const DAY_MS = 86_400_000

export interface Told {
  app: string
  startedMs: number
  /** null: it would still fire. */
  endedMs: number | null
  value: number | null
  muted: string | null
  /** Of its first window, minutes. */
  windowMinutes: number
}

export interface Trial {
  days: number
  sinceMs: number
  untilMs: number
  /** Oldest first. */
  incidents: Told[]
  count: number
  firingMs: number
  /** Since when there are rows; null: there are none. */
  firstMs: number | null
  /** It took too long. */
  isCut: boolean
}

export async function tryOn(
  sql: Sql,
  rule: Rule,
  days: number,
  signal: AbortSignal,
): Promise<Trial> {
  const untilMs = Date.now()
  const sinceMs = untilMs - days * DAY_MS
  const open = new Map<string, Told>()
  const incidents: Told[] = []
  let count = 0
  for await (const result of tryRule(sql, rule, sinceMs, untilMs, signal)) {
    const known = open.get(result.app)
    if (result.state === 'firing' && known === undefined) {
      const told = toldOf(result)
      count += 1
      open.set(result.app, told)
      if (incidents.length < TOLD_MAX) incidents.push(told)
    } else if (result.state === 'ok' && known !== undefined) {
      known.endedMs = Date.parse(result.window.until)
      open.delete(result.app)
    }
  }
  const firingMs = incidents.reduce(
    (sum, { startedMs, endedMs }) => sum + (endedMs ?? untilMs) - startedMs,
    0,
  )
  const firstMs = await firstRowMs(sql)
  return {
    ...{ days, sinceMs, untilMs, incidents, count, firingMs, isCut: signal.aborted },
    firstMs: Number.isFinite(firstMs) ? firstMs : null,
  }
}

function toldOf({ app, window, value, muted }: CheckResult): Told {
  const [since, until] = [Date.parse(window.since), Date.parse(window.until)]
  return {
    ...{ app, value, muted, startedMs: until, endedMs: null },
    windowMinutes: (until - since) / 60_000,
  }
}
