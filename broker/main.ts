/**
 * The broker as a process: the embedded log of one folder, served on 127.0.0.1. Configured by
 * its environment; says one line on stderr when it is ready; SIGTERM and SIGINT end it.
 */

import { z } from 'zod'
import { REPARTITIONED } from '../core/control.ts'
import { EmbeddedLog } from './embedded.ts'
import { LogError } from './error.ts'
import { HOSTNAME, PORT_DEFAULT, type Serving, serve } from './serve.ts'

const TOPICS = ['raw', 'aggregates', 'dead-letter', 'check-results', 'rules', 'deliveries']

const wholeNumber = (min: number, max: number) =>
  z.string().regex(/^\d+$/, 'not a whole number').transform(Number).pipe(z.int().min(min).max(max))

const environmentShape = z.object({
  SHELF_DIR: z.string().min(1),
  SHELF_BROKER_PASSWORD: z.string().min(1),
  /** 0 takes a free port, which the ready line names. */
  SHELF_BROKER_PORT: wholeNumber(0, 65_535).default(PORT_DEFAULT),
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
const serving = startServing()
say(`ready at ${serving.url}, log in ${folder}/log.sqlite`)

process.on('SIGTERM', stop)
process.on('SIGINT', stop)
if (exitWithParent === '1') {
  process.stdin.on('end', stop).on('close', stop).on('error', stop).resume()
}

function openLog(): EmbeddedLog {
  try {
    return new EmbeddedLog({
      folder,
      topics: {
        ...Object.fromEntries(TOPICS.map((topic) => [topic, { partitions }])),
        raw: { partitions, onGrowth: REPARTITIONED },
      },
      report: say,
    })
  } catch (error) {
    fail(error instanceof LogError ? error.message : `can't open the log in ${folder}: ${error}`)
  }
}

function startServing(): Serving {
  try {
    return serve(log, { hostname: HOSTNAME, port, password })
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error))
  }
}

async function stop(): Promise<void> {
  await serving.stop()
  process.exit(0)
}

function say(line: string): void {
  process.stderr.write(`broker: ${line}\n`)
}

function fail(line: string, exitCode = 1): never {
  say(line)
  process.exit(exitCode)
}
