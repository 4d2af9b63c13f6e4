/** A rule's state for one app, and how a closed window moves it. */
import type { AppWindow } from './app-window.ts'
import type { CheckApps } from './check-apps.ts'
import type { CheckResult, CheckState } from './check-result.ts'
import { MINUTE_MS } from './ledger.ts'
import { crosses } from './rule.ts'
import type { RuleVersion } from './rule-record.ts'
import { isAdditive, windowValue } from './window-value.ts'

export interface Series {
  app: string
  version: RuleVersion
  state: CheckState
  /** End of the first window that fired; null: no incident is open. */
  startedMs: number | null
  /** When that was last said to somebody; null: never. */
  saidMs: number | null
  /** End of the last window that was not known to be well again. */
  lastBadMs: number
}

/** What a closed window says. */
export interface Evaluation {
  value: number | null
  count: number
  completeness: number | null
  isKnown: boolean
}

export function newSeries(app: string, version: RuleVersion): Series {
  const lastBadMs = Number.NEGATIVE_INFINITY
  return { app, version, state: 'ok', startedMs: null, saidMs: null, lastBadMs }
}

/** Goes on with what a record says. */
export function restore(series: Series, { state, startedAt, saidAt }: CheckResult): void {
  const isOpen = state !== 'ok' && startedAt !== null
  series.state = state
  series.startedMs = isOpen ? Date.parse(startedAt) : null
  series.saidMs = isOpen && saidAt !== null ? Date.parse(saidAt) : null
}

/** The window of `minutes` minutes that ends at `untilMs`. */
export function evaluate(
  { rule, metric }: RuleVersion,
  apps: CheckApps,
  window: AppWindow,
  untilMs: number,
  minutes = rule.windowMinutes,
): Evaluation {
  const span = { sinceMs: untilMs - minutes * MINUTE_MS, untilMs }
  const minRequests = Math.ceil((rule.minRequests * minutes) / rule.windowMinutes)
  const { process, source } = rule
  const found = windowValue(metric, window, span, { process, source, minRequests })
  const { received, read, lost, isUnsure } = window.messages(span.sinceMs, untilMs)
  if (isUnsure || apps.hasHole(span.sinceMs, untilMs)) {
    return { value: null, count: found.count, completeness: null, isKnown: false }
  }
  const completeness = received + lost > 0 ? read / (received + lost) : null
  const isComplete =
    completeness === null ||
    completeness >= rule.minCompleteness ||
    metric.kind === 'completeness' ||
    metric.kind === 'no-data'
  // What is missing would only add to it.
  const isCertain =
    isAdditive(metric) &&
    rule.operator.startsWith('>') &&
    found.value !== null &&
    crosses(found.value, rule.operator, rule.threshold)
  return { ...found, completeness, isKnown: isComplete || isCertain }
}

/**
 * The state after the window that ends at `untilMs`. Unknown is never good news; a window without a
 * value is no news at all: what fires goes on firing.
 */
export function nextState(
  series: Series,
  { value, isKnown }: Evaluation,
  untilMs: number,
  isLastMinuteBad: () => boolean,
): CheckState {
  const { operator, threshold, recoveryThreshold, recoveryMinutes } = series.version.rule
  if (!isKnown) {
    series.lastBadMs = untilMs
    return 'unknown'
  }
  if (value === null) return series.startedMs === null ? 'ok' : 'firing'
  const line = series.startedMs === null ? threshold : (recoveryThreshold ?? threshold)
  if (crosses(value, operator, line)) {
    series.lastBadMs = untilMs
    return 'firing'
  }
  if (series.startedMs === null) return isLastMinuteBad() ? 'pending' : 'ok'
  return untilMs - series.lastBadMs >= recoveryMinutes * MINUTE_MS ? 'ok' : 'firing'
}
