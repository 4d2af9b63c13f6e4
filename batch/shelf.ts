#!/usr/bin/env bun
/** The `shelf` command: names the programs, and turns their failures into exit codes. */
import { LogError } from '../broker/error.ts'
import { isKafkaUrl } from '../broker/kafka-url.ts'
import { locateDatabase } from './locate.ts'
import { isPassing } from './loop.ts'
import { migrate } from './migrate.ts'
import { migrateTopics } from './migrate-topics.ts'
import { LineError, writeOut } from './ndjson.ts'
import { openLog } from './open-log.ts'
import {
  EXIT,
  helpOf,
  type Program,
  parseProgramArgs,
  say,
  TryAgainError,
  table,
  UsageError,
} from './program.ts'

/** Loaded when they are called: a program starts in the time that it needs itself. */
const programs: Record<string, { summary: string; load: () => Promise<Program> }> = {
  up: {
    summary: 'run everything on this machine: edge, log, PostgreSQL, batch programs',
    load: async () => upProgram,
  },
  run: {
    summary: 'run the batch programs as one worker',
    load: async () => (await import('./run.ts')).run,
  },
  from: {
    summary: 'print a topic as lines of JSON',
    load: async () => (await import('./from.ts')).from,
  },
  to: {
    summary: 'append lines of JSON to a topic',
    load: async () => (await import('./to.ts')).to,
  },
  aggregate: {
    summary: 'fold the raw log into cells',
    load: async () => (await import('./aggregate.ts')).aggregate,
  },
  persist: {
    summary: 'merge cells into rows of PostgreSQL',
    load: async () => (await import('./persist.ts')).persist,
  },
  check: {
    summary: 'check cells against the rules',
    load: async () => (await import('./check.ts')).check,
  },
  rule: {
    summary: 'edit what is watched',
    load: async () => (await import('./rule.ts')).rule,
  },
  silence: {
    summary: 'keep notifications quiet for a time',
    load: async () => (await import('./silence.ts')).silence,
  },
  compact: {
    summary: 'make the coarser tiers from the minutes',
    load: async () => (await import('./compact.ts')).compact,
  },
  retain: {
    summary: 'make partitions ahead, and drop what is no longer kept',
    load: async () => (await import('./retain.ts')).retain,
  },
  archive: {
    summary: 'copy closed hours of the raw log to S3 or a folder',
    load: async () => (await import('./archive.ts')).archive,
  },
  backfill: {
    summary: 'make rows of a time range again from the raw log',
    load: async () => (await import('./backfill.ts')).backfill,
  },
  notify: {
    summary: 'tell people what check decided',
    load: async () => (await import('./notify.ts')).notify,
  },
  drain: {
    summary: 'issue, list and revoke drains',
    load: async () => (await import('./drain.ts')).drain,
  },
  web: {
    summary: 'serve the dashboard',
    load: async () => (await import('./web.ts')).web,
  },
  token: {
    summary: 'issue, list and revoke access tokens of the dashboard',
    load: async () => (await import('./token.ts')).token,
  },
  send: {
    summary: 'send log text to a drain',
    load: async () => (await import('./send.ts')).send,
  },
  demo: {
    summary: 'send the log of a lifelike app',
    load: async () => (await import('./demo.ts')).demo,
  },
  gateway: {
    summary: 'serve a native Kafka over HTTP, for the edge',
    load: async () => (await import('./gateway.ts')).gateway,
  },
  migrate: {
    summary: 'bring the database to the schema of this version',
    load: async () => migrateProgram,
  },
}

const upProgram: Program = {
  usage: 'up',
  summary: 'Runs everything on this machine, until it is stopped.',
  details: `
State lives in .shelf (SHELF_DIR moves it). SHELF_PORT_OFFSET=1000 moves all ports.
DATABASE_URL and SHELF_LOG use a PostgreSQL and a log that run already.`,
  options: {},
  async run() {
    const { up } = await import('./up.ts')
    await up(process.env)
  },
}

const migrateProgram: Program = {
  usage: 'migrate',
  summary: 'Brings the database to the schema of this version. Safe to run again, and at once.',
  details: `
Where SHELF_LOG is a native Kafka, makes its topics too, with SHELF_PARTITIONS partitions (4) and
the settings that Shelf relies on. Topics that are there grow only where SHELF_PARTITIONS is set;
but aggregates and check-results follow raw.`,
  options: { 'dry-run': { type: 'boolean', help: 'print what would be applied' } },
  async run({ flags }) {
    const dryRun = flags['dry-run'] === true
    const names = await migrate(locateDatabase(process.env), { dryRun })
    for (const name of names) await writeOut(`${name}\n`)
    if (names.length === 0) say('the database is up to date')
    const url = process.env.SHELF_LOG ?? ''
    if (!isKafkaUrl(url)) return
    const topics = await migrateTopics(openLog(url), { dryRun })
    for (const line of topics) await writeOut(`${line}\n`)
    if (topics.length === 0) say('the topics are up to date')
  },
}

function help(): string {
  const rows = Object.entries(programs).map(([name, { summary }]): [string, string] => [
    name,
    summary,
  ])
  return `usage: shelf PROGRAM [OPTION…]

Metrics as a service, made from log drains.

${table(rows)}
shelf PROGRAM --help tells more of each.
Exit codes: 0 done, 1 failed, 2 wrong usage, 75 try again.
`
}

/** Stopped by SIGINT or SIGTERM: programs finish what they are at, quietly. */
function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => stop.abort())
  }
  if (process.env.SHELF_EXIT_WITH_PARENT === '1') {
    // Our supervisor holds the other end: it closes when that dies, however it dies.
    process.stdin.on('end', () => stop.abort())
    process.stdin.resume()
  }
  return stop.signal
}

async function main(argv: string[]): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    await writeOut(help())
    return name === undefined ? EXIT.usage : EXIT.done
  }
  const entry = Object.hasOwn(programs, name) ? programs[name] : undefined
  if (entry === undefined) {
    say(`shelf: there is no program ${name}; shelf --help names them`)
    return EXIT.usage
  }
  try {
    const program = await entry.load()
    if (rest.includes('--help') || rest.includes('-h')) {
      await writeOut(helpOf(program))
      return EXIT.done
    }
    const args = parseProgramArgs(program, rest)
    await program.run(args, name === 'up' ? new AbortController().signal : stopSignal())
    return EXIT.done
  } catch (error) {
    return report(name, error)
  }
}

function report(name: string, error: unknown): number {
  const words = error instanceof Error ? error.message : String(error)
  say(`shelf ${name}: ${words}`)
  if (error instanceof UsageError) {
    say(`shelf ${name} --help tells how`)
    return EXIT.usage
  }
  if (error instanceof TryAgainError || isPassing(error)) return EXIT.tryAgain
  const known = error instanceof LineError || error instanceof LogError
  if (!known && process.env.SHELF_DEBUG) console.error(error)
  return EXIT.failed
}

process.exit(await main(process.argv.slice(2)))
