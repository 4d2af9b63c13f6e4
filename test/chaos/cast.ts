/** Who takes part: the log, the edge, two of each batch program, and PostgreSQL, each a process. */
import { join } from 'node:path'
import { migrate } from '../../batch/migrate.ts'
import { migrateTopics } from '../../batch/migrate-topics.ts'
import { openKafka } from '../../broker/kafka.ts'
import type { DrainKey } from '../../core/credential.ts'
import { startPostgres } from '../../db/server.ts'
import { type KafkaServer, kafka, untilGone } from '../kafka-server.ts'
import { freePort } from '../sql-server.ts'
import { KEY, until } from '../stack.ts'
import { type Life, Member } from './member.ts'

const ROOT = join(import.meta.dir, '../..')
const PASSWORD = 'chaos'
/** From start to serving, on a busy machine, ms. */
const READY_MS_MAX = 60_000

export type LogKind = 'kafka' | 'embedded'

export interface Cast {
  members: Member[]
  edgeUrl: string
  databaseUrl: string
  /** Of the log, as the batch programs see it. */
  logUrl: string
  key: DrainKey
  stop(): Promise<void>
}

/** Starts all of them, and resolves when they serve. */
export async function startCast(kind: LogKind, dir: string): Promise<Cast> {
  const members: Member[] = []
  const start = async (name: string, launch: () => Promise<Life>): Promise<void> => {
    const member = new Member(name, launch)
    members.push(member)
    await member.start()
  }
  const stop = async (): Promise<void> => {
    for (const member of members.toReversed()) await member.stop()
  }
  try {
    const postgres = { dataDir: join(dir, 'postgres'), port: await freePort(), password: PASSWORD }
    await start('postgres', () => startPostgres(postgres))
    const databaseUrl = `postgres://shelf:${PASSWORD}@127.0.0.1:${postgres.port}/shelf`
    await migrate(databaseUrl)

    const restPort = await freePort()
    const restUrl = `http://shelf:${PASSWORD}@127.0.0.1:${restPort}`
    const rest = { SHELF_BROKER_PORT: String(restPort), SHELF_BROKER_PASSWORD: PASSWORD }
    let logUrl = restUrl
    if (kind === 'kafka') {
      await start('kafka', kafkaLife())
      logUrl = (await kafka()).url
      await makeTopics(logUrl)
      const gateway = { ...rest, SHELF_LOG: logUrl }
      await start('gateway', () => program(['batch/shelf.ts', 'gateway'], gateway, restPort))
    } else {
      const broker = { ...rest, SHELF_DIR: dir }
      await start('broker', () => program(['broker/main.ts'], broker, restPort))
    }

    const edgePort = await freePort()
    const edge = {
      SHELF_DIR: dir,
      SHELF_EDGE_PORT: String(edgePort),
      SHELF_LOG: restUrl,
      SHELF_DRAIN_KEYS: `${KEY.id}:${KEY.key}`,
      SHELF_REVOKED_FILE: join(dir, 'revoked.json'),
    }
    await start('edge', () => program(['edge/dev.ts'], edge, edgePort))

    const batch = { SHELF_LOG: logUrl, DATABASE_URL: databaseUrl, SHELF_DIR: dir }
    for (const name of ['aggregate', 'persist']) {
      for (const number of [1, 2]) {
        await start(`${name} ${number}`, () => program(['batch/shelf.ts', name], batch))
      }
    }
    return { members, edgeUrl: `http://127.0.0.1:${edgePort}`, databaseUrl, logUrl, key: KEY, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The Kafka of this process, and the same one again after each death. */
function kafkaLife(): () => Promise<Life> {
  let server: KafkaServer | undefined
  return async () => {
    if (server === undefined) server = await kafka()
    else await server.restart()
    const { pid } = server
    return { pid, exited: untilGone(pid) }
  }
}

async function makeTopics(url: string): Promise<void> {
  const log = openKafka(url)
  try {
    await migrateTopics(log, { dryRun: false })
  } finally {
    await log.close()
  }
}

/** A program of ours; it serves when its port answers, or at once where it has none. */
async function program(argv: string[], env: Record<string, string>, port?: number): Promise<Life> {
  const child = Bun.spawn([process.execPath, ...argv], {
    cwd: ROOT,
    env: { ...process.env, ...env, SHELF_EXIT_WITH_PARENT: '1' },
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: process.env.SHELF_CHAOS_LOUD === '1' ? 'inherit' : 'ignore',
  })
  if (port !== undefined) {
    await until(
      `${argv.join(' ')} to serve`,
      async () => {
        if (child.exitCode !== null || child.signalCode !== null) return true
        return (await fetch(`http://127.0.0.1:${port}/healthz`)).ok
      },
      READY_MS_MAX,
    )
  }
  return child
}
