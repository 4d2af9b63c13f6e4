/**
 * The broker as a process: the embedded log of one folder, served on 127.0.0.1. Configured by
 * its environment; says one line on stderr when it is ready; SIGTERM and SIGINT end it.
 */

import { z } from 'zod'
import { EmbeddedLog } from './embedded.ts'
import { LogError } from './error.ts'
import { brokerApp } from './server.ts'

const HOSTNAME = '127.0.0.1'
const USERNAME = 'shelf'
const TOPICS = ['raw', 'aggregates', 'dead-letter', 'check-results']
/** Above the longest wait of a fetch (30 s); Bun's own default of 10 s would cut it off. */
const IDLE_SECONDS = 120
/** After this a stop no longer waits for slow clients; the log itself is closed by then. */
const DRAIN_MS_MAX = 3_000

const wholeNumber = (min: number, max: number) =>
  z.string().regex(/^\d+$/, 'not a whole number').transform(Number).pipe(z.int().min(min).max(max))

const environmentShape = z.object({
  SHELF_DIR: z.string().min(1),
  SHELF_BROKER_PASSWORD: z.string().min(1),
  /** 0 takes a free port, which the ready line names. */
  SHELF_BROKER_PORT: wholeNumber(0, 65_535).default(8788),
  SHELF_PARTITIONS: wholeNumber(1, 1_000).default(4),
  /** '1': end when stdin closes, so that a killed supervisor leaves nothing running. */
  SHELF_EXIT_WITH_PARENT: z.enum(['0', '1']).default('0'),
})

const environment = environmentShape.safeParse(process.env)
if (!environment.success) {
  const [issue] = environment.error.issues
  fail(`${issue?.path.join('.')} in the environment: ${issue?.message}`, 2)
}
const {
  SHELF_DIR: folder,
  SHELF_BROKER_PASSWORD: password,
  SHELF_BROKER_PORT: port,
  SHELF_PARTITIONS: partitions,
  SHELF_EXIT_WITH_PARENT: exitWithParent,
} = environment.data

const log = openLog()
const server = serve()
say(`ready at http://${HOSTNAME}:${server.port}, log in ${folder}/log.sqlite`)

process.on('SIGTERM', stop)
process.on('SIGINT', stop)
if (exitWithParent === '1') {
  process.stdin.on('end', stop).on('close', stop).on('error', stop).resume()
}

function openLog(): EmbeddedLog {
  try {
    return new EmbeddedLog({
      folder,
      topics: Object.fromEntries(TOPICS.map((topic) => [topic, { partitions }])),
      report: say,
    })
  } catch (error) {
    fail(error instanceof LogError ? error.message : `can't open the log in ${folder}: ${error}`)
  }
}

function serve(): Bun.Server<undefined> {
  try {
    const { fetch } = brokerApp(log, { username: USERNAME, password })
    return Bun.serve({ hostname: HOSTNAME, port, fetch, idleTimeout: IDLE_SECONDS })
  } catch (error) {
    log.close()
    const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    fail(
      inUse
        ? `port ${port} on ${HOSTNAME} is in use: stop what listens there, ` +
            'or set SHELF_BROKER_PORT to a free one'
        : `can't listen on ${HOSTNAME}:${port}: ${error}`,
    )
  }
}

/** Takes no more connections, answers what it took, closes the log, exits 0. */
async function stop(): Promise<void> {
  const drained = server.stop()
  log.close()
  await Promise.race([drained, Bun.sleep(DRAIN_MS_MAX)])
  process.exit(0)
}

function say(line: string): void {
  process.stderr.write(`broker: ${line}\n`)
}

function fail(line: string, exitCode = 1): never {
  say(line)
  process.exit(exitCode)
}
