/**
 * `shelf up`: the whole stack on one machine, supervised: PostgreSQL, the embedded log, the edge,
 * the batch worker and the dashboard. The URLs go to stdout, one line each, when all is ready.
 */
import { createServer } from 'node:net'
import { join } from 'node:path'
import { isKafkaUrl } from '../broker/kafka-url.ts'
import { drainKeysToText } from '../core/credential.ts'
import { stopLeftoverPostgres } from '../db/leftover.ts'
import { startPostgres } from '../db/server.ts'
import { demoDrainUrl, drainKeys, readRevoked } from './drains.ts'
import {
  clearRunning,
  ports as portsFor,
  readRunning,
  urls as urlsFor,
  writeRunning,
} from './locate.ts'
import { migrate } from './migrate.ts'
import { migrateTopics } from './migrate-topics.ts'
import {
  type Environment,
  lockState,
  openState,
  revokedPath,
  type State,
  stateDir,
  writeRevoked,
} from './state.ts'
import { command, type Program, Supervisor } from './supervisor.ts'
import { ownToken } from './tokens.ts'

/** For the programs of a stack that was killed to notice it and let go of their ports, ms. */
const RELEASE_MS_MAX = 3000
/** npm hands a terminal's Ctrl-C on to us, who have it already: twice at once is once, ms. */
const SAME_SIGNAL_MS = 500
/** Words that wait for a slow reader of stderr, bytes; over that, lines are dropped. */
const WAITING_BYTES_MAX = 1 << 20

/**
 * Runs the stack of the state folder until SIGINT, SIGTERM or SIGHUP, then resolves, with nothing
 * left running. Rejects with an Error that says what to do when the stack can't start. With
 * DATABASE_URL or SHELF_LOG that PostgreSQL or log is used instead of one of its own; a native Kafka
 * gets a gateway for the edge.
 */
export async function up(env: Environment): Promise<void> {
  const ports = portsFor(env.SHELF_PORT_OFFSET)
  const lock = lockState(stateDir(env))
  const supervisor = new Supervisor(say)
  const signals = listen(() => supervisor.kill())
  try {
    const state = openState(stateDir(env))
    const started = start(env, state, ports, supervisor)
    const signal = await Promise.race([signals.first, started.then(() => signals.first)])
    say(`shelf: ${signal}, stopping`)
    await supervisor.stop()
    await started.catch(() => {})
    clearRunning(state.dir)
    if (signals.isKilled()) throw new Error('killed before all programs had stopped')
  } finally {
    await supervisor.stop()
    signals.forget()
    lock.release()
  }
}

async function start(
  env: Environment,
  state: State,
  ports: ReturnType<typeof portsFor>,
  supervisor: Supervisor,
): Promise<void> {
  const own = urlsFor(state, ports)
  // The edge speaks HTTP: before a native Kafka it takes a gateway, where the broker would be.
  const isKafka = isKafkaUrl(env.SHELF_LOG ?? '')
  const urls = {
    ...own,
    postgres: env.DATABASE_URL || own.postgres,
    broker: isKafka ? own.broker : env.SHELF_LOG || own.broker,
  }
  const [ownPostgres, ownBroker] = [!env.DATABASE_URL, isKafka || !env.SHELF_LOG]
  say(`shelf: starting on ${state.dir}`)
  if (!ownPostgres) say('shelf: using the PostgreSQL of DATABASE_URL')
  if (env.SHELF_LOG) say('shelf: using the log of SHELF_LOG')

  const dataDir = join(state.dir, 'postgres')
  const wasKilled = readRunning(state.dir) !== undefined
  if (ownPostgres && (await stopLeftoverPostgres(dataDir)))
    say('shelf: ended a left over PostgreSQL')
  const needed = new Map([
    [ports.edge, 'edge'],
    [ports.dashboard, 'dashboard'],
  ])
  if (ownBroker) needed.set(ports.broker, isKafka ? 'gateway' : 'broker')
  if (ownPostgres) needed.set(ports.postgres, 'PostgreSQL')
  await checkPorts(needed, wasKilled ? RELEASE_MS_MAX : 0)

  const keys = drainKeys({ ...env, SHELF_DIR: state.dir })
  const shared = { ...env, SHELF_DIR: state.dir, SHELF_LOG: env.SHELF_LOG || urls.broker }
  const program = (path: string) => [process.execPath, join(import.meta.dir, '..', path)]
  const starting: Promise<unknown>[] = []
  if (ownPostgres) {
    const server = postgresProgram(dataDir, ports.postgres, state.postgresPassword)
    starting.push(supervisor.start(server).then(() => migrate(urls.postgres)))
  } else {
    starting.push(migrate(urls.postgres))
  }
  if (isKafka) starting.push(makeTopics(shared.SHELF_LOG))
  if (ownBroker) {
    const broker = command({
      name: isKafka ? 'gateway' : 'broker',
      argv: isKafka ? [...program('batch/shelf.ts'), 'gateway'] : program('broker/main.ts'),
      env: {
        ...shared,
        SHELF_BROKER_PORT: String(ports.broker),
        SHELF_BROKER_PASSWORD: state.brokerPassword,
      },
      ready: { url: `http://127.0.0.1:${ports.broker}/healthz` },
    })
    starting.push(supervisor.start(broker))
  }
  const edge = command({
    name: 'edge',
    argv: program('edge/dev.ts'),
    env: {
      ...shared,
      SHELF_LOG: urls.broker,
      SHELF_EDGE_PORT: String(ports.edge),
      SHELF_DRAIN_KEYS: drainKeysToText(keys),
      SHELF_REVOKED_FILE: revokedPath(state.dir),
    },
    ready: { url: `${urls.edge}/healthz` },
  })
  starting.push(supervisor.start(edge))
  await Promise.all(starting)
  // The database knows what was revoked; the edge follows the file from now on.
  writeRevoked(state.dir, await readRevoked(urls.postgres))
  const worker = command({
    name: 'worker',
    argv: [...program('batch/shelf.ts'), 'run'],
    env: { ...shared, DATABASE_URL: urls.postgres },
    ready: { line: 'ready' },
  })
  const dashboard = command({
    name: 'dashboard',
    argv: [...program('batch/shelf.ts'), 'web'],
    env: {
      ...shared,
      DATABASE_URL: urls.postgres,
      SHELF_WEB_HOST: '127.0.0.1',
      SHELF_WEB_PORT: String(ports.dashboard),
    },
    ready: { url: `${urls.dashboard}/healthz` },
  })
  await Promise.all([supervisor.start(worker), supervisor.start(dashboard)])
  const token = await ownToken(state.dir, urls.postgres)
  const drainUrl = await demoDrainUrl(keys, urls.postgres, urls.edge)
  writeRunning(state.dir, ports, urls)
  const lines = {
    dashboard: urls.dashboard,
    token,
    drain: drainUrl,
    postgres: urls.postgres,
    broker: urls.broker,
  }
  for (const [name, url] of Object.entries(lines)) console.log(`${name.padEnd(10)}${url}`)
}

async function makeTopics(url: string): Promise<void> {
  // Loaded by who has a Kafka: it takes a good part of a second.
  const { openKafka } = await import('../broker/kafka.ts')
  const log = openKafka(url)
  try {
    await migrateTopics(log, { dryRun: false })
  } finally {
    await log.close()
  }
}

/** PostgreSQL as a program to supervise; its URL is known before. */
export function postgresProgram(dataDir: string, port: number, password: string): Program {
  return {
    name: 'postgres',
    launch: (onLine) => {
      const giveUp = new AbortController()
      const server = startPostgres({ dataDir, port, password, onLine, signal: giveUp.signal })
      return {
        ready: server,
        exited: server.then(
          ({ exited }) => exited,
          (error) => (error instanceof Error ? error.message : String(error)),
        ),
        stop: async () => {
          giveUp.abort()
          await server.then(
            ({ stop }) => stop(),
            () => {},
          )
        },
        kill: () => {
          giveUp.abort()
          server.then(
            ({ kill }) => kill(),
            () => {},
          )
        },
      }
    },
  }
}

/** Rejects when a port of `needed` (port to who needs it) is taken, still so after `waitMs`. */
export async function checkPorts(needed: Map<number, string>, waitMs: number): Promise<void> {
  const untilMs = Date.now() + waitMs
  for (;;) {
    const entries = [...needed]
    const problems = await Promise.all(entries.map(([port]) => portProblem(port)))
    const taken = entries.filter((_, i) => problems[i] !== undefined)
    if (taken.length === 0) return
    if (Date.now() >= untilMs) {
      const list = taken.map(([port, who]) => `${port} (${who})`).join(', ')
      const why = problems.includes('EACCES') ? 'not allowed' : 'in use'
      throw new Error(
        `port ${list} ${why}: stop what listens there, ` +
          'or choose others: SHELF_PORT_OFFSET=1000 moves all ports',
      )
    }
    await Bun.sleep(50)
  }
}

async function portProblem(port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const server = createServer()
  server.once('error', (error) => resolve('code' in error ? String(error.code) : error.message))
  server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(undefined)))
  return promise
}

/** Watches for the signals that end us: `first` resolves to the first, a second calls `onSecond`. */
function listen(onSecond: () => void) {
  const first = Promise.withResolvers<string>()
  let firstMs: number | undefined
  let killed = false
  const onSignal = (name: string) => {
    if (firstMs === undefined) {
      firstMs = performance.now()
      first.resolve(name)
    } else if (performance.now() - firstMs > SAME_SIGNAL_MS) {
      killed = true
      onSecond()
    }
  }
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, onSignal)
  return {
    first: first.promise,
    isKilled: () => killed,
    forget: () => {
      for (const name of names) process.off(name, onSignal)
    },
  }
}

/** Words go to stderr. A reader who stands still must not fill our memory. */
function say(line: string): void {
  if (process.stderr.writableLength < WAITING_BYTES_MAX) process.stderr.write(`${line}\n`)
}
