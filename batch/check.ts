/**
 * `shelf check`: cells of the topic aggregates against the rules; what they become goes to the topic
 * check-results. It depends on the log alone: rules come from there too.
 */
import type { Log } from '../broker/log.ts'
import { connect, type Sql } from '../db/client.ts'
import { checkLines } from './check-lines.ts'
import { CheckWorker } from './check-worker.ts'
import { locate } from './locate.ts'
import { eachPartitionToCome, partitionsOf, patiently, together } from './loop.ts'
import { inputIsPiped } from './ndjson.ts'
import { openLog } from './open-log.ts'
import type { Program } from './program.ts'
import { RuleLog } from './rule-log.ts'
import { publishRules } from './rule-publish.ts'
import { AGGREGATES } from './topics.ts'

export const check: Program = {
  usage: 'check',
  summary: 'Checks cells against the rules: the topic aggregates, to the topic check-results.',
  details: `
With input (shelf from aggregates | shelf check | shelf to check-results) it is a filter: it goes on
behind the last checkpoint in check-results, with the rules that the log has.
Without (a terminal, /dev/null) it works on the log itself, until it is stopped, and brings the rules
of the database (shelf rule) into the log.`,
  options: {
    all: { type: 'boolean', help: 'filter: decide all windows of the input anew' },
    rules: {
      type: 'string',
      value: 'FILE',
      help: 'filter: these rules (YAML), not those of the log',
    },
  },
  async run({ text, flags }, signal) {
    if (inputIsPiped()) {
      await checkLines({ all: flags.all === true, rulesFile: text.rules }, signal)
      return
    }
    const { databaseUrl, logUrl } = locate(process.env)
    const log = openLog(logUrl)
    const sql = connect(databaseUrl, { max: 1, settings: { application_name: 'shelf check' } })
    try {
      await checkLog(log, sql, signal)
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}

/** Checks all partitions until `signal`, also those that are added meanwhile, and publishes rules. */
export async function checkLog(log: Log, sql: Sql, signal: AbortSignal): Promise<void> {
  await together(signal, [
    (stop) => publishRules(log, sql, stop),
    (stop) => checkPartitions(log, stop),
  ])
}

/** Checks all partitions until `signal`. */
export async function checkPartitions(log: Log, signal: AbortSignal): Promise<void> {
  const rules = new RuleLog(log)
  const partitions = { count: 0, grown: new AbortController() }
  await eachPartitionToCome(
    'check',
    signal,
    async () => {
      const count = partitionsOf(await log.topics(), AGGREGATES)
      if (count !== partitions.count) {
        // Apps move: each partition's worker looks anew at which are its own.
        partitions.count = count
        partitions.grown.abort()
        partitions.grown = new AbortController()
      }
      return count
    },
    async (partition, stop) => {
      while (!stop.aborted) {
        const until = AbortSignal.any([stop, partitions.grown.signal])
        await patiently(`check ${partition}`, until, async (succeeded) => {
          const worker = await CheckWorker.start(log, rules, partition, partitions.count)
          while (!until.aborted) {
            await worker.step(until)
            succeeded()
          }
        })
      }
    },
  )
}
