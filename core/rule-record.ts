/**
 * The records of the topic rules: the rules and silences of the database, one a record, so that
 * check knows them while the database is away, and everybody from the same moment of the log on.
 * The newest revision counts; older ones, and repeats, fall away. Copies are written again before
 * the log drops them.
 */
import { z } from 'zod'
import { appNameSchema } from './credential.ts'
import { MINUTE_MS } from './ledger.ts'
import { type Metric, parseMetric } from './metric.ts'
import { type Rule, ruleIdSchema, ruleSchema } from './rule.ts'
import { isLoggable } from './text.ts'
import { namesOf } from './window-value.ts'

/** The version that is written. A record of a later one is not passed over. */
export const RULE_RECORD_VERSION = 1

const words = z.string().max(500).refine(isLoggable)

/** Nobody is notified of the app, or the rule, or the app's rule, in that time; null is any. */
export const silenceSchema = z.strictObject({
  app: appNameSchema.nullable(),
  rule: ruleIdSchema.nullable(),
  since: z.iso.datetime(),
  until: z.iso.datetime(),
  author: words,
  reason: words,
})

export type Silence = z.infer<typeof silenceSchema>

const envelope = {
  version: z.literal(RULE_RECORD_VERSION),
  id: ruleIdSchema,
  /** Grows with each change in the database. */
  revision: z.int().min(0),
  /** Log time of the first copy of this revision; absent on that one. */
  since: z.iso.datetime().optional(),
}

/** null: deleted. */
export const ruleRecordSchema = z.discriminatedUnion('kind', [
  z.object({ ...envelope, kind: z.literal('rule'), rule: ruleSchema.nullable() }),
  z.object({ ...envelope, kind: z.literal('silence'), silence: silenceSchema.nullable() }),
])

export type RuleRecord = z.output<typeof ruleRecordSchema>

/** A record with its place in log time, Unix ms. */
export type RuleEntry = RuleRecord & { timestampMs: number }

/** From when on a record is in force, Unix ms. */
export function inForceMs({ since, timestampMs }: RuleEntry): number {
  return since === undefined ? timestampMs : Date.parse(since)
}

/** A rule as check works with it. */
export interface RuleVersion {
  rule: Rule
  revision: number
  metric: Metric
  /** Gauges, counters and histograms that it needs. */
  names: string[]
  /** Its windows begin here or later, Unix ms: what it needs is kept from then on. */
  beginMs: number
}

/** What a rule watches. Where that stays the same, an edited rule goes on with its state. */
function shapeOf({ metric, process, source, windowMinutes }: Rule): string {
  return JSON.stringify([metric, process, source, windowMinutes])
}

/** Whether a version of the rule may go on with the state of the one before. */
export function goesOn(before: Rule, rule: Rule): boolean {
  return before.enabled && shapeOf(before) === shapeOf(rule)
}

/** @throws Error for a metric that no schema let pass */
export function ruleVersion(
  rule: Rule,
  revision: number,
  fromMs: number,
  before?: RuleVersion,
): RuleVersion {
  const metric = parseMetric(rule.metric)
  if (metric === undefined) throw new Error(`no metric: ${rule.metric}`)
  const beginMs =
    before !== undefined && goesOn(before.rule, rule)
      ? before.beginMs
      : Math.ceil(fromMs / MINUTE_MS) * MINUTE_MS
  return { rule, revision, metric, names: namesOf(metric), beginMs }
}
