/**
 * The records of the topic check-results. A `change` is what a rule became for an app; a `reminder`
 * says a firing again; `standing` repeats, once a UTC day, all that is not ok, for who reads back;
 * a `checkpoint` says how far a partition is decided. Who notifies takes the first two.
 */
import { z } from 'zod'
import { wireCount, wireText, wireTime } from './cell-wire.ts'
import { OPERATORS, ruleIdSchema, SEVERITIES } from './rule.ts'

/** The version that is written. A record of a later one is not passed over. */
export const CHECK_RESULT_VERSION = 1

/**
 * ok; pending: the last minute is across the threshold, the window is not yet; firing; unknown: the
 * data is late or has holes, so nobody can tell.
 */
export const CHECK_STATES = ['ok', 'pending', 'firing', 'unknown'] as const

/** Why nobody is to be notified: by the rule, a silence, Heroku's maintenance mode, or a deploy. */
export const MUTED_BY = ['rule', 'silence', 'maintenance', 'deploy'] as const

const envelope = {
  version: z.literal(CHECK_RESULT_VERSION),
  /** The same decision has the same key, whoever writes it, and how often: repeats fall away. */
  key: z.string().min(1).max(300),
  partition: z.int().min(0),
  /** Log time of the decision: the watermark that closed the window. */
  at: wireTime,
}

export const checkResultSchema = z.object({
  ...envelope,
  kind: z.enum(['change', 'reminder', 'standing']),
  rule: ruleIdSchema,
  /** Which version of the rule decided: it grows with each edit. */
  ruleVersion: z.int().min(0),
  /** As the rule has it; never empty. */
  name: wireText,
  app: wireText,
  /** null: all process types together. */
  process: wireText.nullable(),
  metric: wireText,
  source: wireText.nullable(),
  operator: z.enum(OPERATORS),
  threshold: z.number(),
  severity: z.enum(SEVERITIES),
  playbook: z.string().nullable(),
  /** Targets, as the rule has them. */
  notify: z.array(z.string()),
  state: z.enum(CHECK_STATES),
  /** The state before; of a reminder and a standing the same. */
  previous: z.enum(CHECK_STATES),
  /** null where there is none: no requests, too few, or unknown. In the metric's unit. */
  value: z.number().nullable(),
  /** Event times: from, up to without. */
  window: z.object({ since: wireTime, until: wireTime }),
  /** Requests, samples or messages that the value is made of. */
  count: wireCount,
  /** Share of the app's messages in the window that was read, 0 to 1; null where nobody knows. */
  completeness: z.number().min(0).max(1).nullable(),
  /**
   * `rule/app/start`: from the first firing until ok, through unknown. On the record that says ok it
   * is the one that ended. null: none was open.
   */
  incident: z.string().max(300).nullable(),
  /** When it began: the end of the first window that fired. */
  startedAt: wireTime.nullable(),
  /**
   * The window's end of what was said last of the incident's firing: the first change that was not
   * muted, or a reminder; this one included. null: nobody was notified, so nobody waits to hear that
   * it is over.
   */
  saidAt: wireTime.nullable(),
  /** Kept, but not to be sent. */
  muted: z.enum(MUTED_BY).nullable(),
})

export const checkpointSchema = z.object({
  ...envelope,
  kind: z.literal('checkpoint'),
  /** All windows of the partition that end here or before are decided, and stand before this. */
  until: wireTime,
  /** How many partitions the log had: where it has more by now, apps have moved. */
  partitions: z.int().min(1).optional(),
})

export const checkRecordSchema = z.discriminatedUnion('kind', [checkResultSchema, checkpointSchema])

export type CheckState = (typeof CHECK_STATES)[number]
export type MutedBy = (typeof MUTED_BY)[number]
export type CheckResult = z.infer<typeof checkResultSchema>
export type Checkpoint = z.infer<typeof checkpointSchema>
export type CheckRecord = z.infer<typeof checkRecordSchema>
