/**
 * Drains with known content post while everything is killed with -9 or frozen at random and comes
 * back ('strikes'), or while the log is gone for the whole time ('outage'). Afterwards each request
 * answered with 2xx must be in PostgreSQL exactly once.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../../db/client.ts'
import { random as seeded } from '../generator.ts'
import { type Cast, type LogKind, startCast } from './cast.ts'
import { Drain } from './drains.ts'
import { followFreshness, percentile } from './freshness.ts'
import { ledgerProblems } from './ledger.ts'
import type { Member } from './member.ts'
import { type Comparison, compare, type Tally, tallyOfRows } from './truth.ts'

const DRAINS = 10
/** Of them, those that give a frame up after three tries, as Logplex does. */
const QUITTERS = 2
/** Requests a second, of each drain. */
const RATE = 20

/** How likely each is struck, beside the others; 1 where it is not named. */
const WEIGHTS: Record<string, number> = { kafka: 0.4, postgres: 0.6 }
const KILL_SHARE = 0.75
const FREEZE_MS_MAX = 6000
const PAUSE_MS_MAX = 1800

const OUTAGE_MARGIN_MS = 5000

/** After the last fault: for the edge to answer all that waits, resends among them. */
const ANSWER_MS_MAX = 90_000
/** After the last fault: how long nothing new may become a row before the rest is called lost. */
const STILL_MS_MAX = 60_000
/** And for a second copy of something to show. */
const QUIET_MS = 15_000

export interface ChaosOptions {
  seconds: number
  log: LogKind
  scenario: 'strikes' | 'outage'
  seed: number
  say: (line: string) => void
}

export interface ChaosReport {
  seconds: number
  kills: number
  requests: number
  lost: number
  double: number
  freshnessP99Ms: number
}

export interface ChaosResult {
  report: ChaosReport
  /** Tries that got no 2xx, by status, 'cut' or 'no answer in time'. */
  refusals: Map<string, number>
  /** Where the ledger is wrong, in words. */
  ledger: string[]
}

export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seconds, seed, say } = options
  const dir = mkdtempSync(join(tmpdir(), 'shelf-chaos-'))
  const cast = await startCast(options.log, dir)
  const sql = connect(cast.databaseUrl, { max: 1 })
  try {
    const random = seeded(seed)
    const load = { edgeUrl: cast.edgeUrl, key: cast.key, rate: RATE, random }
    const drains = Array.from(
      { length: DRAINS },
      (_, index) => new Drain(`app-${index}`, index < QUITTERS, load),
    )
    const loadStop = new AbortController()
    const watchStop = new AbortController()
    const posting = Promise.all(drains.map((drain) => drain.run(loadStop.signal)))
    const watched = drains.filter((drain) => !drain.givesUp)
    const watching = followFreshness(cast.databaseUrl, watched, watchStop.signal)

    if (options.scenario === 'outage') await outage(cast, seconds, say)
    else await strike(cast, seconds, random, say)
    loadStop.abort()
    await Promise.race([posting, tooLong(ANSWER_MS_MAX, 'the edge does not take what is left')])
    say('the last fault is over, and every frame is answered: waiting for the rows')

    const [acked, maybe] = [sum(drains, 'acked'), sum(drains, 'maybe')]
    const result = await settled(async () => compare(await tallyOfRows(sql), acked, maybe))
    watchStop.abort()
    const latencies = await watching
    const ledger = await ledgerProblems(sql, drains)
    for (const line of [...result.differences, ...ledger]) say(line)
    const refusals = refusalsOf(drains)
    sayWhatHappened(cast, drains, latencies, say)
    const report = {
      seconds,
      kills: cast.members.reduce((kills, member) => kills + member.kills, 0),
      requests: drains.reduce((requests, drain) => requests + drain.requests, 0),
      lost: result.lost,
      double: result.double,
      freshnessP99Ms: Math.round(percentile(latencies, 0.99)),
    }
    return { report, refusals, ledger }
  } finally {
    await sql.end({ timeout: 1 })
    await cast.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Kills and freezes at random for as long. */
async function strike(
  cast: Cast,
  seconds: number,
  random: () => number,
  say: (line: string) => void,
): Promise<void> {
  const endMs = Date.now() + seconds * 1000
  while (Date.now() < endMs) {
    await Bun.sleep(random() * PAUSE_MS_MAX)
    const member = pick(cast.members, random)
    if (member === undefined) continue
    if (random() < KILL_SHARE) {
      if (member.kill()) say(`kill -9: ${member.name}`)
    } else {
      const ms = Math.round(random() * FREEZE_MS_MAX)
      if (member.freeze(ms)) say(`frozen for ${ms} ms: ${member.name}`)
    }
  }
  for (const member of cast.members) member.thaw()
}

/** Takes the log away for as long; drains go on a little before and after. */
async function outage(cast: Cast, seconds: number, say: (line: string) => void): Promise<void> {
  const log = cast.members.find(({ name }) => name === 'kafka' || name === 'broker')
  await Bun.sleep(OUTAGE_MARGIN_MS)
  log?.hold()
  say(`${log?.name} is gone`)
  await Bun.sleep(seconds * 1000)
  log?.release()
  say(`${log?.name} may come back`)
  await Bun.sleep(OUTAGE_MARGIN_MS)
}

/** One of them, by their weights. */
function pick(members: readonly Member[], random: () => number): Member | undefined {
  const weightOf = ({ name }: Member): number => WEIGHTS[name] ?? 1
  let ticket = random() * members.reduce((sum, member) => sum + weightOf(member), 0)
  return members.find((member) => {
    ticket -= weightOf(member)
    return ticket < 0
  })
}

/** Waits until nothing is missing, or no more comes, and then for what may come twice. */
async function settled(look: () => Promise<Comparison>): Promise<Comparison> {
  let least = Number.POSITIVE_INFINITY
  let deadline = Date.now() + STILL_MS_MAX
  while (least > 0 && Date.now() < deadline) {
    await Bun.sleep(500)
    const lost = (await look().catch(() => undefined))?.lost ?? least
    if (lost < least) deadline = Date.now() + STILL_MS_MAX
    least = Math.min(least, lost)
  }
  await Bun.sleep(QUIET_MS)
  return await look()
}

async function tooLong(ms: number, what: string): Promise<never> {
  await Bun.sleep(ms)
  throw new Error(`${what}, ${ms / 1000} s after the last fault`)
}

function sum(drains: readonly Drain[], what: 'acked' | 'maybe'): Tally {
  // Apps differ from drain to drain, and so do the keys.
  return new Map(drains.flatMap((drain) => [...drain[what]]))
}

function refusalsOf(drains: readonly Drain[]): Map<string, number> {
  const refusals = new Map<string, number>()
  for (const drain of drains) {
    for (const [why, n] of drain.refusals) refusals.set(why, (refusals.get(why) ?? 0) + n)
  }
  return refusals
}

function sayWhatHappened(
  cast: Cast,
  drains: readonly Drain[],
  latencies: readonly number[],
  say: (line: string) => void,
): void {
  for (const { name, kills, freezes } of cast.members) {
    say(`${name}: ${kills} kills, ${freezes} freezes`)
  }
  const words = [...refusalsOf(drains)].map(([why, n]) => `${n} × ${why}`).join(', ') || 'none'
  say(`tries not taken: ${words}`)
  say(`frames sent again after they were taken: ${drains.reduce((n, d) => n + d.resends, 0)}`)
  const at = (quantile: number): number => Math.round(percentile(latencies, quantile))
  say(`answer to row: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`)
}
