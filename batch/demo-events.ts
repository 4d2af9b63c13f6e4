/** What happens to the lifelike app in the course of a day, once or a few times. */
import type { DemoApp } from './demo-app.ts'
import { type Dyno, type DynoType, SIZES } from './demo-dyno.ts'
import { apiLine, exitLine, stateLine, strangeLine } from './demo-line.ts'

const MINUTE_MS = 60_000

/** From the first line of a build to its release. */
const BUILD_MS = 35_000

/** A release restarts all dynos, within this time. */
const RESTARTS_MS = 3000

/** How long what is lost goes on: long enough for a restart to hide in it. */
const LOSS_MS = 20_000

/** How long a web process that ended by itself stays down. */
const CRASHED_MS = 45_000

/** The longest that a storm and a maintenance take, however long the day. */
const STORM_MS_MAX = 10 * MINUTE_MS
const MAINTENANCE_MS_MAX = 15 * MINUTE_MS

/** Memory that has leaked when the platform kills a dyno, as a share of its quota. */
const LEAK_MAX = 2.1

/** The dynos of the night and of the day: the busy hours take more. */
const NIGHT = { web: 2, worker: 1 }
const DAY = { web: 3, worker: 2 }

type Event = (app: DemoApp, dayMs: number) => void

/**
 * At which part of the day what happens. In a day of 60 minutes or more nothing joins what belongs
 * apart: a restart within 3 minutes of a release counts as its doing.
 */
const PLAN: readonly (readonly [part: number, event: Event])[] = [
  [0.03, deploy],
  [0.09, storm],
  [0.14, leak],
  [0.3, configure],
  [0.36, (app) => scale(app, DAY, app.people.developers.scales)],
  [0.42, (app) => scale(app, { web: 6 }, app.people.autoscaler)],
  [0.46, openConsole],
  [0.5, (app) => app.lose('L10', LOSS_MS)],
  [0.55, loseRestart],
  [0.61, crashWeb],
  [0.67, (app) => app.lose('L12', LOSS_MS)],
  [0.72, cycle],
  [0.88, maintain],
  [0.94, (app) => scale(app, { web: DAY.web }, app.people.autoscaler)],
  [0.97, (app) => scale(app, NIGHT, app.people.developers.scales)],
]

/** The dynos that are there when the day begins, hours old. */
export function placeDynos(app: DemoApp): void {
  for (const type of ['web', 'worker'] as const) {
    for (let number = 1; number <= NIGHT[type]; number++) {
      app.place(type, number, app.random.between(60, 1200) * MINUTE_MS)
    }
  }
}

export function planDay(app: DemoApp, dayMs: number): void {
  for (const [part, event] of PLAN) app.after(part * dayMs, () => event(app, dayMs))
}

function restartAll(app: DemoApp): void {
  for (const dyno of app.dynos.values()) {
    if (dyno.state !== 'up') continue
    app.after(2000 + app.random.whole(RESTARTS_MS), () => app.restart(dyno, 'Restarting'))
  }
}

function deploy(app: DemoApp): void {
  const email = app.people.developers.deploys
  const commit = app.random.hex(8)
  app.mark({ kind: 'build', process: '', words: ['started'], email })
  app.say(apiLine('Build started', email))
  app.after(BUILD_MS, () => {
    const version = `v${++app.release}`
    app.mark({ kind: 'deploy', process: '', words: [commit, version], email })
    app.say(apiLine(`Deploy ${commit}`, email))
    app.say(apiLine(`Running release ${version} commands`, email))
    app.say(apiLine(`Release ${version} created`, email))
    app.after(700, () => {
      app.mark({ kind: 'build', process: '', words: ['succeeded'] })
      app.say(apiLine('Build succeeded'))
    })
    restartAll(app)
  })
}

function configure(app: DemoApp): void {
  const email = app.people.developers.configures
  const version = `v${++app.release}`
  app.mark({ kind: 'config', process: '', words: ['FEATURE_CART', 'SMTP_URL'], email })
  app.say(apiLine('Set FEATURE_CART, SMTP_URL config vars', email))
  app.say(apiLine(`Release ${version} created`, email))
  restartAll(app)
}

/** One line for all process types that change. */
function scale(app: DemoApp, to: Partial<Record<DynoType, number>>, email: string): void {
  const targets = (['web', 'worker'] as const).flatMap((type) => {
    const quantity = to[type]
    return quantity === undefined ? [] : [{ type, quantity, size: SIZES[type].name }]
  })
  const list = targets.map(({ type, quantity, size }) => `${type}@${quantity}:${size}`).join(' ')
  app.say(apiLine(`Scaled to ${list}`, email))
  for (const { type, quantity, size } of targets) {
    app.mark({ kind: 'scale', process: type, words: [`${quantity}:${size}`], email })
    const dynos = app.dynosOf(type)
    for (const dyno of dynos.filter(({ number }) => number > quantity)) app.remove(dyno)
    for (let number = dynos.length + 1; number <= quantity; number++) app.boot(type, number)
  }
}

/** Requests hang until the router gives up: H12. */
function storm(app: DemoApp, dayMs: number): void {
  app.stuckShare = 0.4
  app.after(Math.min(0.02 * dayMs, STORM_MS_MAX), () => {
    app.stuckShare = 0
  })
}

/** The memory of worker.1 grows until it is killed, in a tenth of a day. */
function leak(app: DemoApp, dayMs: number): void {
  const worker = app.dynos.get('worker.1')
  if (worker === undefined) return
  worker.leakSinceMs = app.nowMs
  const leakMb = LEAK_MAX * SIZES.worker.quotaMb - worker.usualMb
  worker.leakMbPerS = leakMb / (dayMs / 10_000)
}

/** Someone looks at the app from within: a dyno that ends with the session. */
function openConsole(app: DemoApp): void {
  app.say(strangeLine(`run.${1000 + app.release}`, 'Awaiting client'))
  const dyno = app.boot('run', 1000 + app.release)
  app.after(50_000, () => {
    app.say(exitLine(dyno.name, 0))
    app.say(stateLine(dyno.name, 'up', 'complete'))
    app.dynos.delete(dyno.name)
  })
}

/** web.2 restarts while all messages are lost: only its id tells, when it is heard of again. */
function loseRestart(app: DemoApp): void {
  app.lose('L10', LOSS_MS)
  app.after(1000, () => {
    const dyno = app.dynos.get('web.2')
    if (dyno === undefined) return
    app.restart(dyno, 'Restarting', (next) => {
      next.isUnannounced = true
    })
  })
}

/** All web processes end at once, and requests meet nobody: H10. */
function crashWeb(app: DemoApp): void {
  for (const dyno of app.dynosOf('web')) app.crash(dyno, 1, CRASHED_MS)
  app.mark({ kind: 'crash', process: 'web', words: [] })
}

/** Dynos are restarted once a day, one after the other. */
function cycle(app: DemoApp, dayMs: number): void {
  ;[...app.dynos.values()].forEach((dyno, index) => {
    app.after(index * 0.02 * dayMs, () => cycleOne(app, dyno))
  })
}

function cycleOne(app: DemoApp, dyno: Dyno): void {
  if (!app.isRunning(dyno) || dyno.state !== 'up') return
  app.restart(dyno, 'Cycling')
  app.mark({ kind: 'restart', process: dyno.type, words: ['cycling'] })
}

function maintain(app: DemoApp, dayMs: number): void {
  app.isMaintained = true
  app.mark({ kind: 'maintenance', process: '', words: [] })
  app.after(Math.min(0.03 * dayMs, MAINTENANCE_MS_MAX), () => {
    app.isMaintained = false
  })
}
