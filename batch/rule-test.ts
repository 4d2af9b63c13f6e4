/** `shelf rule test`: when a rule would have fired, from the rows. */
import { MINUTE_MS } from '../core/ledger.ts'
import { idOf, type Rule } from '../core/rule.ts'
import type { Sql } from '../db/client.ts'
import { firstRowMs, tryRule } from '../db/rule-history.ts'
import { writeOut } from './ndjson.ts'
import { type Arguments, say, UsageError } from './program.ts'
import { fieldsOf, parseRule } from './rule-options.ts'
import { mustFindRule } from './rule-stored.ts'

const DAY_MS = 24 * 3_600_000
const DAYS_MAX = 400

export async function ruleTest(sql: Sql, args: Arguments): Promise<void> {
  const days = Number(args.text.days ?? 7)
  if (!(Number.isInteger(days) && days >= 1 && days <= DAYS_MAX)) {
    throw new UsageError(`--days takes 1 to ${DAYS_MAX}`)
  }
  const rule = await ruleOf(sql, args)
  const untilMs = Date.now()
  let incidents = 0
  let firingMs = 0
  for await (const result of tryRule(sql, rule, untilMs - days * DAY_MS, untilMs)) {
    const { window, app, state, value, completeness, muted, startedAt } = result
    const minutes = (Date.parse(window.until) - Date.parse(window.since)) / MINUTE_MS
    const fields = [window.until, app, state, value ?? '-', completeness ?? '-', muted ?? '-']
    await writeOut(`${[...fields, `${minutes}m`].join('\t')}\n`)
    if (result.kind === 'change' && startedAt === window.until) incidents += 1
    if (state === 'ok' && startedAt !== null) {
      firingMs += Date.parse(window.until) - Date.parse(startedAt)
    }
  }
  const firstMs = await firstRowMs(sql)
  const from = Number.isFinite(firstMs) ? new Date(firstMs).toISOString() : 'never'
  say(
    `${rule.id}: ${incidents} incidents in ${days} days, ` +
      `${Math.round(firingMs / MINUTE_MS)} minutes of those that ended; there are rows from ${from} on`,
  )
}

/** The rule of that id, with what the options say otherwise; or that of the options alone. */
async function ruleOf(sql: Sql, args: Arguments): Promise<Rule> {
  const fields = fieldsOf(args)
  const [, id] = args.positionals
  return parseRule(
    id === undefined
      ? { ...fields, id: idOf(fields) }
      : { ...(await mustFindRule(sql, id)), ...fields },
  )
}
