/** A rule as a form gives it, and back. */
import * as z from 'zod'
import { idOf, type Rule, ruleSchema } from '../core/rule.ts'
import { parseTarget, TargetError } from '../notify/target.ts'

/** The texts of the fields; what is not there is not set. */
export type Fields = Record<string, string>

const NUMBERS = [
  'threshold',
  'windowMinutes',
  'minRequests',
  'recoveryThreshold',
  'recoveryMinutes',
  'reminderMinutes',
  'deployMuteMinutes',
] as const
const TEXTS = ['id', 'name', 'process', 'metric', 'operator', 'severity', 'playbook'] as const
const LISTS = ['apps', 'notify'] as const

export const formSchema = z.record(z.string().max(40), z.string().max(2000))

/** Whether the form changes a rule that is there; else it must not take the id of one. */
export const isEdit = (fields: Fields): boolean => fields.edit === '1'

/** @returns the rule, or in words what is wrong with it */
export function ruleOf(fields: Fields, before?: Rule): { rule: Rule } | { problem: string } {
  const given: Record<string, unknown> = {}
  for (const name of TEXTS) if (fields[name]) given[name] = fields[name].trim()
  for (const name of NUMBERS) if (fields[name]) given[name] = Number(fields[name])
  for (const name of LISTS) {
    if (fields[name]) given[name] = fields[name].split(/[\s,]+/).filter((item) => item !== '')
  }
  const { source = null, mutedUntil = null, enabled = true } = before ?? {}
  const parsed = ruleSchema.safeParse({
    ...{ id: idOf(given), source, mutedUntil, enabled },
    ...(before && { minCompleteness: before.minCompleteness }),
    ...given,
  })
  if (!parsed.success) return { problem: z.prettifyError(parsed.error).replace(/^✖ /gm, '') }
  const wrong = parsed.data.notify.map(problemOf).find((problem) => problem !== undefined)
  return wrong === undefined ? { rule: parsed.data } : { problem: wrong }
}

/** What a name stands for is known to the worker alone. */
function problemOf(target: string): string | undefined {
  try {
    parseTarget(target, {})
    return undefined
  } catch (error) {
    if (!(error instanceof TargetError)) throw error
    return error.isPassing ? undefined : error.message
  }
}

export function fieldsOf(rule: Rule): Fields {
  const fields: Fields = {}
  for (const name of [...TEXTS, ...NUMBERS, ...LISTS]) {
    const value = rule[name]
    if (value !== null) fields[name] = Array.isArray(value) ? value.join(', ') : String(value)
  }
  return fields
}
