/**
 * Checking of one partition, as a function of its aggregates and of the rules: records in, decisions
 * out. No I/O and no clock, so that live, piped and replayed checking are one and the same.
 */
import type { AggregateRecord } from './aggregate-record.ts'
import { compareText } from './cell-wire.ts'
import { CheckApps } from './check-apps.ts'
import { checkpointOf, type Moment, muteOf, resultOf } from './check-make.ts'
import type { CheckRecord, CheckResult, CheckState } from './check-result.ts'
import { CheckRules } from './check-rules.ts'
import { type Evaluation, evaluate, nextState, restore, type Series } from './check-series.ts'
import { type Arrivals, type Resume, Tail } from './check-tail.ts'
import { lossBetween, MINUTE_MS } from './ledger.ts'
import { isBefore, missingBefore, type Place, placeBehind } from './place.ts'
import { crosses } from './rule.ts'
import { RuleBook } from './rule-book.ts'
import type { RuleEntry } from './rule-record.ts'

/**
 * A window is closed when all that was logged until so long after its end is in. Logplex delivers
 * within a second or two, and all together has to stay below 10 s.
 */
export const GRACE_MS = 5000

/**
 * Who checks sees to it that the raw log gets a record each minute. Where it got none for longer,
 * nobody could write: what happened then is not known, and may come late.
 */
export const GAP_MS = 150_000

const DAY_MS = 24 * 60 * MINUTE_MS

interface CheckerOptions {
  partition: number
  /** How many there are. */
  partitions?: number | undefined
  /** Which apps are this partition's; all by default. */
  owns?: (app: string) => boolean
  resume?: Resume | undefined
  /** How far windows lie apart; cells stand in the last minute of such a step. Default a minute. */
  stepMs?: number
}

export class PartitionChecker {
  /** Log time up to which the partition is in, Unix ms. */
  watermarkMs = Number.NEGATIVE_INFINITY
  /** End of the next window to close, Unix ms; undefined before the first record. */
  nextMs: number | undefined
  private readonly partition: number
  private readonly stepMs: number
  private readonly book = new RuleBook()
  private readonly apps: CheckApps
  private readonly rules: CheckRules
  private readonly tail: Tail
  private readonly partitions: number | undefined
  private readonly arrivals: Arrivals | undefined
  private place: Place | undefined
  /** Windows begin here or later. */
  private beginMs = Number.NEGATIVE_INFINITY

  constructor(options: CheckerOptions) {
    const { partition, partitions, owns = () => true, resume, stepMs = MINUTE_MS } = options
    this.partition = partition
    this.partitions = partitions
    this.arrivals = resume?.arrivals
    this.stepMs = stepMs
    this.apps = new CheckApps(owns)
    this.rules = new CheckRules(this.apps)
    this.tail = new Tail(resume)
    this.nextMs = resume?.fromMs
  }

  /** Takes the next record of the topic rules: before all of aggregates that were logged later. */
  learn(entry: RuleEntry): void {
    this.book.learn(entry)
  }

  /** Takes the next record of aggregates. Returns what is decided with it, in order. */
  push(record: AggregateRecord): CheckRecord[] {
    if (this.place !== undefined && isBefore(record, this.place)) return []
    const watermarkMs = Math.max(this.watermarkMs, Date.parse(record.watermark))
    for (const entry of this.book.needUntil(watermarkMs)) {
      if (entry.kind === 'rule' && entry.rule?.enabled) this.apps.need(entry.rule)
    }
    this.noteLoss(record, watermarkMs)
    this.apps.take(record)
    this.place = placeBehind(record)
    // The watermark is that of the whole chunk.
    if (this.place.part > 0) return []
    this.watermarkMs = watermarkMs
    return this.close()
  }

  private noteLoss(record: AggregateRecord, watermarkMs: number): void {
    const isFirst = this.place === undefined || this.watermarkMs === Number.NEGATIVE_INFINITY
    // Who decided before us had all up to there: where our first chunk lies long behind, what was
    // between is gone.
    const sinceMs = isFirst ? this.tail.untilMs : this.watermarkMs
    const gapMs = GAP_MS - MINUTE_MS + this.stepMs
    if (sinceMs > Number.NEGATIVE_INFINITY && watermarkMs - sinceMs > gapMs) {
      this.apps.addHole(sinceMs, watermarkMs)
    }
    // Before the first chunk is in there is nothing else to miss.
    if (isFirst || this.place === undefined) return
    const lost = missingBefore(record, this.place)
    for (const [minuteMs] of lost > 0 ? lossBetween(lost, this.watermarkMs, watermarkMs) : []) {
      this.apps.addHole(minuteMs, minuteMs)
    }
  }

  private close(): CheckRecord[] {
    if (this.nextMs === undefined) {
      this.beginMs = Math.ceil(this.watermarkMs / this.stepMs) * this.stepMs
      this.nextMs = this.beginMs + this.stepMs
    }
    const records: CheckRecord[] = []
    while (this.nextMs + GRACE_MS <= this.watermarkMs) {
      for (const record of this.decide(this.nextMs)) records.push(record)
      this.nextMs += this.stepMs
    }
    return records
  }

  /** All that the windows which end at `untilMs` decide. */
  private decide(untilMs: number): CheckRecord[] {
    const moment = { partition: this.partition, untilMs, watermarkMs: this.watermarkMs }
    const results: CheckResult[] = []
    for (const entry of this.book.applyUntil(untilMs)) {
      for (const series of this.rules.apply(entry)) results.push(...this.end(series, moment))
    }
    for (const app of this.apps.windows.keys()) this.rules.see(app)
    for (const series of this.rules.all()) {
      const result = this.step(series, moment)
      if (result !== undefined) results.push(result)
    }
    results.push(...this.forget(moment))
    if (untilMs <= this.tail.untilMs) {
      this.restore(untilMs)
      return []
    }
    const records: CheckRecord[] = results
      .filter(({ key }) => !this.tail.has(key))
      // Whoever decides writes the same in the same order.
      .sort((a, b) => compareText(a.key, b.key))
    // Who starts anew begins there, and people see that somebody is awake.
    return [...records, checkpointOf(moment, this.partitions)]
  }

  /** Where the log says what was decided, it is so. */
  private restore(untilMs: number): void {
    for (const result of this.tail.take(untilMs)) {
      if (result.state !== 'ok' && this.apps.watch(result.app)) this.rules.see(result.app)
      const series = this.rules.find(result.rule, result.app)
      if (series !== undefined) restore(series, result)
    }
  }

  private step(series: Series, moment: Moment): CheckResult | undefined {
    const { untilMs } = moment
    const { app, version } = series
    const { arrivals } = this
    if (arrivals !== undefined && untilMs <= arrivals.untilMs && arrivals.has(app)) return undefined
    const window = this.apps.watch(app)
    const sinceMs = untilMs - version.rule.windowMinutes * MINUTE_MS
    if (window === undefined || sinceMs < Math.max(version.beginMs, this.beginMs)) return undefined
    const found = evaluate(version, this.apps, window, untilMs)
    const { windowMinutes, operator, threshold } = version.rule
    const state = nextState(series, found, untilMs, () => {
      // Of an app that seldom sends most minutes are empty: that is nothing to say.
      const minutes = this.stepMs / MINUTE_MS
      if (windowMinutes === minutes || version.metric.kind === 'no-data') return false
      const { value, isKnown } = evaluate(version, this.apps, window, untilMs, minutes)
      return isKnown && value !== null && crosses(value, operator, threshold)
    })
    if (untilMs <= this.tail.untilMs) return undefined
    return this.move(series, state, moment, found)
  }

  /** The record that says so, where there is something to say. */
  private move(
    series: Series,
    state: CheckState,
    moment: Moment,
    found?: Evaluation,
  ): CheckResult | undefined {
    const { state: previous } = series
    const { untilMs } = moment
    const isStanding = state !== 'ok' && untilMs % DAY_MS === 0
    if (state === previous && state !== 'firing' && !isStanding) return undefined
    if (state === 'firing') series.startedMs ??= untilMs
    const muted = muteOf(series, this.rules, this.apps, untilMs)
    const isDue = state === 'firing' && muted === null && isReminderDue(series, untilMs)
    const kind = state !== previous ? 'change' : isDue ? 'reminder' : 'standing'
    if (kind === 'standing' && !isStanding) return undefined
    // That it fires again after a time in which nobody knew is no news: reminders are not put off.
    const isSaid = kind === 'reminder' || (kind === 'change' && series.saidMs === null)
    if (isSaid && state === 'firing' && muted === null) series.saidMs = untilMs
    const result = resultOf(series, { kind, state, previous, muted }, moment, found)
    series.state = state
    if (state === 'ok') {
      series.startedMs = null
      series.saidMs = null
    }
    return result
  }

  /** The rule, or the app, is no more: what it had to say is over. */
  private end(series: Series, moment: Moment): CheckResult[] {
    const result = this.move(series, 'ok', moment)
    return result === undefined ? [] : [result]
  }

  /** Forgets minutes that no window holds any more, and apps that are gone. */
  private forget(moment: Moment): CheckResult[] {
    const { untilMs } = moment
    // A minute more than is needed: an app must be there to be found missing.
    this.apps.forget(untilMs - this.rules.depthMinutes * MINUTE_MS)
    const results: CheckResult[] = []
    const kept = new Set<string>()
    for (const series of this.rules.all()) {
      const { app, state, startedMs } = series
      if (this.apps.isNamed(app) || this.apps.windows.get(app)?.isEmpty === false) continue
      if (state !== 'ok' && !(startedMs !== null && untilMs - startedMs >= DAY_MS)) kept.add(app)
      else {
        results.push(...this.end(series, moment))
        this.rules.end(series)
      }
    }
    for (const [app, window] of this.apps.windows) {
      if (window.isEmpty && !this.apps.isNamed(app) && !kept.has(app)) this.apps.windows.delete(app)
    }
    return results
  }
}

/** Also what nobody heard of yet, because it was muted. */
function isReminderDue({ saidMs, version }: Series, untilMs: number): boolean {
  const { reminderMinutes } = version.rule
  if (saidMs === null) return true
  return reminderMinutes !== null && untilMs - saidMs >= reminderMinutes * MINUTE_MS
}
