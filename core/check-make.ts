/** The records that check writes. */
import type { CheckApps } from './check-apps.ts'
import {
  CHECK_RESULT_VERSION,
  type Checkpoint,
  type CheckResult,
  type CheckState,
  type MutedBy,
} from './check-result.ts'
import type { CheckRules } from './check-rules.ts'
import type { Evaluation, Series } from './check-series.ts'
import { MINUTE_MS } from './ledger.ts'
import type { Rule } from './rule.ts'

const isoOf = (timeMs: number): string => new Date(timeMs).toISOString()

/** Where and when something is decided. */
export interface Moment {
  partition: number
  /** End of the window, Unix ms. */
  untilMs: number
  watermarkMs: number
}

export interface Decision {
  kind: CheckResult['kind']
  state: CheckState
  previous: CheckState
  muted: MutedBy | null
}

const NOTHING: Evaluation = { value: null, count: 0, completeness: null, isKnown: false }

/** What a rule is called where nobody named it. */
export function nameOf({ name, metric, operator, threshold, process }: Rule): string {
  if (name !== '') return name
  if (metric === 'no-data') return 'no data'
  return `${process === null ? '' : `${process} `}${metric} ${operator} ${threshold}`
}

export function resultOf(
  { app, version, startedMs, saidMs }: Series,
  { kind, state, previous, muted }: Decision,
  { partition, untilMs, watermarkMs }: Moment,
  { value, count, completeness }: Evaluation = NOTHING,
): CheckResult {
  const { rule, revision } = version
  const [since, until] = [isoOf(untilMs - rule.windowMinutes * MINUTE_MS), isoOf(untilMs)]
  const startedAt = startedMs === null ? null : isoOf(startedMs)
  return {
    version: CHECK_RESULT_VERSION,
    kind,
    key: `${rule.id}/${app}/${until}/${kind}`,
    partition,
    at: isoOf(watermarkMs),
    rule: rule.id,
    ruleVersion: revision,
    name: nameOf(rule),
    app,
    process: rule.process,
    metric: rule.metric,
    source: rule.source,
    operator: rule.operator,
    threshold: rule.threshold,
    severity: rule.severity,
    playbook: rule.playbook,
    notify: rule.notify,
    state,
    previous,
    value,
    window: { since, until },
    count: Math.min(Math.max(count, 0), Number.MAX_SAFE_INTEGER),
    completeness,
    incident: startedAt === null ? null : `${rule.id}/${app}/${startedAt}`,
    startedAt,
    saidAt: saidMs === null ? null : isoOf(saidMs),
    muted,
  }
}

export function checkpointOf(
  { partition, untilMs, watermarkMs }: Moment,
  partitions?: number,
): Checkpoint {
  return {
    version: CHECK_RESULT_VERSION,
    kind: 'checkpoint',
    key: `checkpoint/${partition}/${isoOf(untilMs)}`,
    partition,
    at: isoOf(watermarkMs),
    until: isoOf(untilMs),
    ...(partitions !== undefined && { partitions }),
  }
}

/** Why nobody is to hear of it; null: they are. */
export function muteOf(
  { app, version }: Series,
  rules: CheckRules,
  apps: CheckApps,
  untilMs: number,
): MutedBy | null {
  const { rule, beginMs } = version
  const { mutedUntil } = rule
  if (mutedUntil === 'forever') return 'rule'
  if (mutedUntil !== null && untilMs < Date.parse(mutedUntil)) return 'rule'
  if (rules.isSilenced(rule.id, app, untilMs)) return 'silence'
  const window = apps.watch(app)
  const sinceMs = untilMs - rule.windowMinutes * MINUTE_MS
  if (window?.isInMaintenance(sinceMs, untilMs)) return 'maintenance'
  if (rule.deployMuteMinutes === 0) return null
  const afterMs = Math.max(beginMs, sinceMs - rule.deployMuteMinutes * MINUTE_MS)
  return window?.wasDeployed(afterMs, untilMs) ? 'deploy' : null
}
