/** The rules in force, their series, and the silences. */
import { MAINTENANCE_GAP_MINUTES } from './app-window.ts'
import type { CheckApps } from './check-apps.ts'
import { newSeries, type Series } from './check-series.ts'
import { ALL_APPS } from './rule.ts'
import {
  inForceMs,
  type RuleEntry,
  type RuleVersion,
  ruleVersion,
  type Silence,
} from './rule-record.ts'

export class CheckRules {
  private readonly versions = new Map<string, RuleVersion>()
  /** Rules for all apps. */
  private readonly general = new Map<string, RuleVersion>()
  /** By rule, then by app. */
  private readonly series = new Map<string, Map<string, Series>>()
  private readonly silences = new Map<string, Silence>()

  constructor(private readonly apps: CheckApps) {}

  /** Takes what is in force from now on. Returns the series that ended with it. */
  apply(entry: RuleEntry): Series[] {
    if (entry.kind === 'silence') {
      if (entry.silence === null) this.silences.delete(entry.id)
      else this.silences.set(entry.id, entry.silence)
      return []
    }
    const before = this.versions.get(entry.id)
    const rule = entry.rule?.enabled ? entry.rule : undefined
    const version = rule && ruleVersion(rule, entry.revision, inForceMs(entry), before)
    const ended = this.replace(entry.id, version, version?.beginMs === before?.beginMs)
    if (version === undefined) return ended
    this.versions.set(entry.id, version)
    if (version.rule.apps.includes(ALL_APPS)) this.general.set(entry.id, version)
    for (const app of version.rule.apps) {
      if (app !== ALL_APPS && this.apps.watch(app) !== undefined) this.begin(version, app)
    }
    return ended
  }

  /** Lets the rule's series go on with its new version, where they may. */
  private replace(id: string, version: RuleVersion | undefined, goesOn: boolean): Series[] {
    this.versions.delete(id)
    this.general.delete(id)
    const ended: Series[] = []
    for (const series of this.series.get(id)?.values() ?? []) {
      const { apps = [] } = version?.rule ?? {}
      if (version && goesOn && (apps.includes(series.app) || apps.includes(ALL_APPS))) {
        series.version = version
      } else {
        ended.push(series)
      }
    }
    for (const series of ended) this.end(series)
    return ended
  }

  /** Begins the series of an app that was seen: those of the rules for all apps. */
  see(app: string): void {
    for (const version of this.general.values()) this.begin(version, app)
  }

  private begin(version: RuleVersion, app: string): void {
    const { id } = version.rule
    const all = this.series.get(id) ?? new Map<string, Series>()
    this.series.set(id, all)
    if (!all.has(app)) all.set(app, newSeries(app, version))
  }

  end({ app, version }: Series): void {
    this.series.get(version.rule.id)?.delete(app)
  }

  find(rule: string, app: string): Series | undefined {
    return this.series.get(rule)?.get(app)
  }

  *all(): Generator<Series> {
    for (const all of this.series.values()) yield* all.values()
  }

  /** Minutes before the end of a window whose data decides about it. */
  get depthMinutes(): number {
    let depth = 1
    for (const { rule } of this.versions.values()) depth = Math.max(depth, depthMinutesOf(rule))
    return depth
  }

  isSilenced(rule: string, app: string, timeMs: number): boolean {
    for (const silence of this.silences.values()) {
      const isMeant =
        (silence.rule === null || silence.rule === rule) &&
        (silence.app === null || silence.app === app)
      const isNow = Date.parse(silence.since) <= timeMs && timeMs < Date.parse(silence.until)
      if (isMeant && isNow) return true
    }
    return false
  }
}

/** A deploy mutes every window that it, or a minute soon after it, lies in; maintenance too. */
export function depthMinutesOf(rule: RuleVersion['rule']): number {
  return rule.windowMinutes + Math.max(rule.deployMuteMinutes, MAINTENANCE_GAP_MINUTES)
}
