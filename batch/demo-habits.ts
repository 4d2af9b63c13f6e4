/** What the lifelike app does all day: serve requests, print, and report its state. */
import type { DemoApp } from './demo-app.ts'
import { type Dyno, loadOf, memoryOf } from './demo-dyno.ts'
import { dynoErrorLine, dynoLine } from './demo-line.ts'
import { personalLine, slowQueryLine } from './demo-people.ts'
import {
  carelessMetricsLine,
  loadLine,
  type Memory,
  memoryLine,
  postgresLine,
  redisLine,
  runningLine,
  totalMb,
  webMetricsLine,
  workerMetricsLine,
} from './demo-samples.ts'
import { newVisit, type RouterError, routerLine, tideOf, type Visit } from './demo-traffic.ts'

/** How often the platform samples a dyno (log-runtime-metrics), and an add-on. */
const SAMPLE_MS = 20_000
const ADDON_MS = 60_000

/** What the router gives up after (H12). */
const ROUTER_TIMEOUT_MS = 30_000

/** A worker's job, and a query that PostgreSQL finds slow, come so far apart on average. */
const JOB_MS = 4000
const SLOW_QUERY_MS = 90_000

/** Of the requests, those that print a line, tell a metric, or tell one carelessly. */
const PRINTING_SHARE = 0.3
const TELLING_SHARE = 0.1
const CARELESS_SHARE = 0.003

/** Of the requests, those whose client goes away, and those whose dyno does. */
const CLIENT_GONE_SHARE = 0.001
const INTERRUPTED_SHARE = 0.0006

/** How long a dyno is down that was killed for its memory. */
const KILLED_MS = 10_000

export interface Habits {
  /** Requests a second, on average over a day. */
  rate: number
  /** How long a day takes: the tide of its requests has that period. */
  dayMs: number
  /** The part of the day that it is at the beginning, 0 (midnight, as if not given) to 1. */
  dayPart?: number
}

export function startHabits(app: DemoApp, { rate, dayMs, dayPart = 0 }: Habits): void {
  const { random, nowMs: startMs } = app
  const tide = (): number => tideOf(dayPart + (app.nowMs - startMs) / dayMs)
  app.onUp = (dyno) => {
    app.after(random.between(1000, SAMPLE_MS), () => {
      app.repeat(
        () => SAMPLE_MS,
        () => sampleDyno(app, dyno, tide()),
      )
    })
  }
  let rows = 0
  const habits: [everyMs: () => number, act: () => void][] = [
    [() => random.exponential(1000 / (rate * tide())), () => serve(app, tide())],
    [() => random.exponential(JOB_MS), () => doJob(app)],
    [() => random.exponential(SLOW_QUERY_MS), () => app.say(slowQueryLine(anyone(app), random))],
    [() => ADDON_MS, () => app.say(postgresLine(random, rows++))],
    [() => ADDON_MS, () => app.say(redisLine(random))],
  ]
  for (const [everyMs, act] of habits) {
    app.after(random.next() * everyMs(), () => {
      app.repeat(everyMs, () => {
        act()
        return true
      })
    })
  }
}

const anyone = (app: DemoApp) => app.random.pick(app.people.visitors)

/** @returns whether the dyno is there still */
function sampleDyno(app: DemoApp, dyno: Dyno, tide: number): boolean {
  const { random, nowMs } = app
  if (!app.isRunning(dyno)) return false
  if (dyno.state !== 'up') return true
  const { name, instance, bornMs } = dyno
  dyno.pagesIn += random.whole(200)
  dyno.pagesOut += random.whole(150)
  const memory = memoryOf(dyno, nowMs, random)
  const pages = { in: dyno.pagesIn, out: dyno.pagesOut }
  const seen = app.say(loadLine(name, instance, nowMs - bornMs, loadOf(dyno, tide, random)))
  app.say(memoryLine(name, instance, memory, pages))
  if (seen && dyno.isUnannounced) {
    dyno.isUnannounced = false
    app.mark({ kind: 'restart', process: dyno.type, words: ['dyno changed'] })
  }
  checkQuota(app, dyno, memory)
  return true
}

/** R14 is of all memory, R15 of what is not cache, and comes with twice the quota. */
function checkQuota(app: DemoApp, dyno: Dyno, memory: Memory): void {
  const { rssMb, swapMb, quotaMb } = memory
  if (totalMb(memory) <= quotaMb) return
  app.say(runningLine(dyno.name, memory))
  if (rssMb + swapMb <= 2 * quotaMb) {
    app.say(dynoErrorLine(dyno.name, 'R14'))
    return
  }
  app.say(dynoErrorLine(dyno.name, 'R15'))
  app.say(dynoLine(dyno.name, 'Stopping process with SIGKILL'))
  app.crash(dyno, 137, KILLED_MS)
  app.mark({ kind: 'crash', process: dyno.type, words: [] })
}

/** A request comes: to a dyno that is up, or to one that will be, or to none. */
function serve(app: DemoApp, tide: number): void {
  const { random } = app
  const dynos = app.dynosOf('web')
  const [up, ...othersUp] = dynos.filter(({ state }) => state === 'up')
  const slowness = Math.max(0.8, (2 * tide) / (1 + othersUp.length)) * (1 + 3 * app.stuckShare)
  const visit = newVisit(anyone(app), random, slowness)
  const [starting] = dynos.filter(({ state }) => state === 'starting')
  if (app.isMaintained) {
    app.say(routerLine(visit, undefined, 'H80'))
  } else if (up !== undefined) {
    answer(app, visit, random.pick([up, ...othersUp]), random.whole(3))
  } else if (starting !== undefined) {
    answer(app, visit, starting, Math.max(0, starting.readyMs - app.nowMs) + random.whole(3))
  } else {
    app.say(routerLine(visit, undefined, 'H10'))
  }
}

/** The router tells of a request when it is over. */
function answer(app: DemoApp, visit: Visit, dyno: Dyno, connectMs: number): void {
  const { random } = app
  const isStuck = random.chance(app.stuckShare)
  const serviceMs = isStuck
    ? ROUTER_TIMEOUT_MS + random.whole(5)
    : Math.min(visit.serviceMs, ROUTER_TIMEOUT_MS - 1)
  app.after(connectMs + serviceMs, () => {
    const code = isStuck ? 'H12' : faultOf(app, dyno)
    app.say(routerLine(visit, { dyno: dyno.name, connectMs, serviceMs }, code))
    if (code === undefined) print(app, visit, dyno)
  })
}

function faultOf({ random }: DemoApp, dyno: Dyno): RouterError | undefined {
  if (dyno.state === 'crashed') return 'H13'
  if (random.chance(CLIENT_GONE_SHARE)) return 'H27'
  return random.chance(INTERRUPTED_SHARE) ? 'H18' : undefined
}

function print(app: DemoApp, { visitor }: Visit, dyno: Dyno): void {
  const { random, nowMs } = app
  if (random.chance(PRINTING_SHARE)) app.say(personalLine(dyno.name, visitor, random, nowMs))
  if (random.chance(TELLING_SHARE)) app.say(webMetricsLine(dyno.name, visitor, random))
  if (random.chance(CARELESS_SHARE)) app.say(carelessMetricsLine(dyno.name, visitor))
}

function doJob(app: DemoApp): void {
  const { random, nowMs } = app
  const [worker, ...others] = app.dynosOf('worker').filter(({ state }) => state === 'up')
  if (worker === undefined) return
  const { name } = random.pick([worker, ...others])
  app.say(workerMetricsLine(name, random))
  if (random.chance(PRINTING_SHARE)) app.say(personalLine(name, anyone(app), random, nowMs))
}
