/**
 * Where a stack listens: the ports it takes, and the word in its state folder by which other
 * commands find it.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type Environment, type State, stateDir } from './state.ts'
import { readStateFile, STATE_VERSION, writeStateFile } from './state-file.ts'

const PORT_MAX = 65_535
const PORTS_DEFAULT = { edge: 8787, broker: 8788, dashboard: 8790, postgres: 54_320 }

const runningSchema = z.object({
  version: z.literal(STATE_VERSION),
  ports: z.record(z.enum(['edge', 'broker', 'dashboard', 'postgres']), z.int()),
  urls: z.object({
    edge: z.string(),
    broker: z.string(),
    postgres: z.string(),
    /** What an older Shelf wrote has none. */
    dashboard: z.string().default(''),
  }),
})

export type Ports = typeof PORTS_DEFAULT
export type Urls = Running['urls']
/** Where a stack listens, for other commands to find it. */
export type Running = z.infer<typeof runningSchema>

/**
 * The ports of a stack, moved by SHELF_PORT_OFFSET (unset or empty: 0). Throws an Error where the
 * offset is not a whole number or a port leaves 1..65535.
 */
export function ports(offset: string | undefined): Ports {
  const move = Number(offset || 0)
  const numbers = Object.values(PORTS_DEFAULT)
  const [least, most] = [1 - Math.min(...numbers), PORT_MAX - Math.max(...numbers)]
  if (!Number.isInteger(move) || move < least || move > most) {
    throw new Error(
      `SHELF_PORT_OFFSET must be a whole number from ${least} to ${most}, not ${offset}`,
    )
  }
  const { edge, broker, dashboard, postgres } = PORTS_DEFAULT
  return {
    edge: edge + move,
    broker: broker + move,
    dashboard: dashboard + move,
    postgres: postgres + move,
  }
}

/** Where a stack with this state and these ports answers; the passwords are in the URLs. */
export function urls(state: State, ports: Ports): Urls {
  return {
    edge: `http://127.0.0.1:${ports.edge}`,
    broker: `http://shelf:${state.brokerPassword}@127.0.0.1:${ports.broker}`,
    postgres: `postgres://shelf:${state.postgresPassword}@127.0.0.1:${ports.postgres}/shelf`,
    dashboard: `http://127.0.0.1:${ports.dashboard}`,
  }
}

/** Says where the stack of the folder listens. */
export function writeRunning(dir: string, ports: Ports, urls: Urls): void {
  writeStateFile(
    join(dir, 'running.json'),
    { version: STATE_VERSION, ports, urls } satisfies Running,
    'replace',
  )
}

/** Takes that word back. */
export function clearRunning(dir: string): void {
  rmSync(join(dir, 'running.json'), { force: true })
}

/** Where the stack of the folder listens; undefined when none was started, or it was stopped. */
export function readRunning(dir: string): Running | undefined {
  return readStateFile(join(dir, 'running.json'), runningSchema)
}

/** The PostgreSQL to use: DATABASE_URL, or the running stack's. Throws an Error without either. */
export function locateDatabase(env: Environment): string {
  return env.DATABASE_URL || runningUrls(env).postgres
}

/** The log to use: SHELF_LOG, or the running stack's. Throws an Error without either. */
export function locateLog(env: Environment): string {
  return env.SHELF_LOG || runningUrls(env).broker
}

/** Both, for programs that need both. */
export function locate(env: Environment): { databaseUrl: string; logUrl: string } {
  return { databaseUrl: locateDatabase(env), logUrl: locateLog(env) }
}

/** The edge of the running stack. Throws an Error when there is none. */
export function locateEdge(env: Environment): string {
  return runningUrls(env, 'name the edge with --edge URL').edge
}

/** Where the running stack listens. Throws an Error when there is none. */
export function runningUrls(env: Environment, otherwise = 'set DATABASE_URL and SHELF_LOG'): Urls {
  const running = readRunning(stateDir(env))
  if (running) return running.urls
  throw new Error(`no stack found in ${stateDir(env)}: npm start, or ${otherwise}`)
}
