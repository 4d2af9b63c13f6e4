/** Rules: what check watches, when it fires, and what a notification of it says. */
import { z } from 'zod'
import { appNameSchema } from './credential.ts'
import { METRIC_HELP, parseMetric } from './metric.ts'
import { isLoggable } from './text.ts'

/** Longer windows are read back at each start; Heroku's own thresholds take 1, 5 and 10 minutes. */
export const WINDOW_MINUTES_MAX = 60
/** Who starts anew reads back a day of check-results. */
const REMINDER_MINUTES_MAX = 24 * 60

export const ALL_APPS = '*'

/** Least to most urgent: PagerDuty's words. */
export const SEVERITIES = ['info', 'warning', 'error', 'critical'] as const
export const OPERATORS = ['>=', '>', '<=', '<'] as const

export type Operator = (typeof OPERATORS)[number]

/** Holes in the data above this share leave a rule undecided. */
const MIN_COMPLETENESS_DEFAULT = 0.9

const ID_CHARS_MAX = 64
/** A rule that nobody named is called after process and metric: that has to be loggable too. */
const METRIC_CHARS_MAX = 500

const words = z.string().min(1).max(200).refine(isLoggable)

export const ruleIdSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'an id is 1 to 64 of a-z, 0-9, dot, dash, underscore')

const playbookSchema = z.url({ protocol: /^https?$/ }).max(1000)

const fieldsSchema = z.strictObject({
  id: ruleIdSchema,
  /** For people: what it is about. Empty: made of the metric and threshold. */
  name: z.string().max(200).refine(isLoggable).default(''),
  /** Each app by itself; `*` is all that send. */
  apps: z
    .array(z.union([z.literal(ALL_APPS), appNameSchema]))
    .min(1)
    .max(1000),
  /** A process type, or null: all of the app's together. */
  process: words.nullable().default(null),
  /** See parseMetric. */
  metric: z
    .string()
    .max(METRIC_CHARS_MAX)
    .refine(isLoggable)
    .refine((text) => parseMetric(text) !== undefined, METRIC_HELP),
  /** Of a gauge, counter or histogram: only of this source; null is all of them. */
  source: words.nullable().default(null),
  operator: z.enum(OPERATORS).default('>='),
  /** In the metric's unit: ms, shares from 0 to 1, requests a minute, bytes. */
  threshold: z.number(),
  windowMinutes: z.int().min(1).max(WINDOW_MINUTES_MAX).default(5),
  /**
   * With fewer requests, of the process if one is named, in the window there is no value; but
   * throughput, no-data and completeness have one.
   */
  minRequests: z.int().min(0).default(0),
  /** What the value must come back across; null is the threshold. */
  recoveryThreshold: z.number().nullable().default(null),
  /** And for how long it must stay there. */
  recoveryMinutes: z.int().min(1).max(WINDOW_MINUTES_MAX).default(1),
  /** Says again while it fires; null is never. */
  reminderMinutes: z.int().min(1).max(REMINDER_MINUTES_MAX).nullable().default(null),
  severity: z.enum(SEVERITIES).default('warning'),
  playbook: playbookSchema.nullable().default(null),
  /** Where to: see notify. */
  notify: z.array(z.string().min(1).max(1000).refine(isLoggable)).max(20).default([]),
  /** Below this completeness of the window there is no decision. */
  minCompleteness: z.number().min(0).max(1).default(MIN_COMPLETENESS_DEFAULT),
  /** After a deploy of the app nothing is notified for so long; 0 is off. */
  deployMuteMinutes: z.int().min(0).max(WINDOW_MINUTES_MAX).default(0),
  /** Decided all the same, but not notified. */
  mutedUntil: z
    .union([z.iso.datetime(), z.literal('forever')])
    .nullable()
    .default(null),
  enabled: z.boolean().default(true),
})

/** The silence of an app has one question: whether anything came at all. */
function withDefaults(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || !('metric' in input)) return input
  return input.metric === 'no-data' ? { operator: '<', threshold: 1, ...input } : input
}

export const ruleSchema = z.preprocess(
  withDefaults,
  fieldsSchema
    .refine(
      ({ operator, threshold, recoveryThreshold: back }) =>
        back === null || (operator.startsWith('>') ? back <= threshold : back >= threshold),
      { message: 'lies beyond the threshold', path: ['recoveryThreshold'] },
    )
    .refine(
      ({ metric, process }) =>
        process === null || !(metric === 'no-data' || metric === 'completeness'),
      { message: 'messages are counted for the app as a whole', path: ['process'] },
    ),
)

export type Rule = z.output<typeof ruleSchema>

/** Whether `value` is across the threshold. */
export function crosses(value: number, operator: Operator, threshold: number): boolean {
  switch (operator) {
    case '>=':
      return value >= threshold
    case '>':
      return value > threshold
    case '<=':
      return value <= threshold
    case '<':
      return value < threshold
  }
}

/** `demo web p95 >= 1000 over 5m`. */
export function summaryOf(rule: Rule): string {
  const { apps, process, metric, operator, threshold, windowMinutes } = rule
  const where = [apps.join(','), ...(process === null ? [] : [process])].join(' ')
  const what = metric === 'no-data' ? metric : `${metric} ${operator} ${threshold}`
  return `${where} ${what} over ${windowMinutes}m`
}

/** What a rule is called that nobody named: `demo-web-p95`. */
export function idOf(fields: Record<string, unknown>): string {
  const parts = [fields.apps, fields.process, fields.metric].flat()
  const words = parts.filter((part) => typeof part === 'string').join('-')
  const id = words
    .toLowerCase()
    .replaceAll('*', 'all')
    .replaceAll(/[^a-z0-9._-]+/g, '-')
  return id.slice(0, ID_CHARS_MAX)
}
