/** A rule as options of the command line give it. */
import { z } from 'zod'
import { METRIC_HELP } from '../core/metric.ts'
import { type Rule, ruleSchema } from '../core/rule.ts'
import { parseTarget, showTarget, TargetError } from '../notify/target.ts'
import { type Arguments, type Options, UsageError } from './program.ts'

export const RULE_OPTIONS: Options = {
  app: { type: 'string', value: 'APP,…', help: "apps, each by itself; '*': all that send" },
  process: { type: 'string', value: 'TYPE', help: 'process type (default: all together)' },
  metric: { type: 'string', value: 'METRIC', help: METRIC_HELP.replace('a metric is ', '') },
  source: {
    type: 'string',
    value: 'SOURCE',
    help: 'of a gauge, counter, histogram: only this one',
  },
  op: { type: 'string', value: 'OP', help: ">=, >, <= or < (default '>=')" },
  threshold: {
    type: 'string',
    value: 'N',
    help: 'ms, shares (0.05), requests a minute, bytes: as the metric has it',
  },
  window: { type: 'string', value: 'TIME', help: '1m to 60m (default 5m)' },
  'min-requests': { type: 'string', value: 'N', help: 'with fewer there is no value (default 0)' },
  'recovery-threshold': { type: 'string', value: 'N', help: 'back across this (the threshold)' },
  'recovery-time': { type: 'string', value: 'TIME', help: 'for so long (default 1m)' },
  reminder: { type: 'string', value: 'TIME', help: 'say again: 5m, 60m, 1440m (default: never)' },
  severity: { type: 'string', value: 'WORD', help: 'info, warning (default), error or critical' },
  playbook: { type: 'string', value: 'URL', help: 'what to do about it' },
  notify: { type: 'string', value: 'TARGET,…', help: 'whom to tell: see shelf notify --help' },
  'min-completeness': {
    type: 'string',
    value: 'N',
    help: 'with less of the messages read it is unknown (default 0.9)',
  },
  'deploy-mute': { type: 'string', value: 'TIME', help: 'tell nobody so long after a deploy' },
  name: { type: 'string', value: 'WORDS', help: 'what to call it' },
}

/** `5m`, `2h`, `90s` rounded up, `15`: minutes. @throws UsageError */
export function parseMinutes(text: string): number {
  const [, amount, unit = 'm'] = /^(\d{1,6})([smhd]?)$/.exec(text) ?? []
  const minutes = { s: 1 / 60, m: 1, h: 60, d: 1440 }[unit || 'm']
  if (amount === undefined || minutes === undefined) {
    throw new UsageError(`${text} is no time: 5m, 1h`)
  }
  return Math.ceil(Number(amount) * minutes)
}

function parseNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`${text} is no number`)
  return value
}

const list = (text: string): string[] => text.split(',').filter((item) => item !== '')

/** An empty text takes back what was set. */
const orNull =
  <T>(parse: (text: string) => T) =>
  (text: string): T | null =>
    text === '' ? null : parse(text)

const FIELDS: Record<string, [field: keyof Rule, parse: (text: string) => unknown]> = {
  app: ['apps', list],
  process: ['process', orNull(String)],
  metric: ['metric', String],
  source: ['source', orNull(String)],
  op: ['operator', String],
  threshold: ['threshold', parseNumber],
  window: ['windowMinutes', parseMinutes],
  'min-requests': ['minRequests', parseNumber],
  'recovery-threshold': ['recoveryThreshold', orNull(parseNumber)],
  'recovery-time': ['recoveryMinutes', parseMinutes],
  reminder: ['reminderMinutes', orNull(parseMinutes)],
  severity: ['severity', String],
  playbook: ['playbook', orNull(String)],
  notify: ['notify', list],
  'min-completeness': ['minCompleteness', parseNumber],
  'deploy-mute': ['deployMuteMinutes', parseMinutes],
  name: ['name', String],
}

/** What the options set. @throws UsageError */
export function fieldsOf({ text }: Pick<Arguments, 'text'>): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const [option, [field, parse]] of Object.entries(FIELDS)) {
    const given = text[option]
    if (given !== undefined) fields[field] = parse(given)
  }
  return fields
}

/** @throws UsageError that says what is wrong */
export function parseRule(fields: Record<string, unknown>): Rule {
  const parsed = ruleSchema.safeParse(fields)
  if (!parsed.success) throw new UsageError(z.prettifyError(parsed.error))
  mustHaveTargets(parsed.data)
  return parsed.data
}

/** What a name stands for the worker's environment says: here it may be any. @throws UsageError */
export function mustHaveTargets({ id, notify }: Rule): void {
  for (const target of notify) {
    try {
      parseTarget(target, {})
    } catch (error) {
      if (!(error instanceof TargetError)) throw error
      if (!error.isPassing) throw new UsageError(`${id}: ${showTarget(target)}: ${error.message}`)
    }
  }
}
