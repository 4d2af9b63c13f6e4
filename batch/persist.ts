/**
 * `shelf persist`: cells of the topic aggregates become rows. Its place lies in shelf.progress and
 * moves in the transaction that merges the rows, so each record counts once, whatever dies when.
 * The place is the lease too: any number of these share the partitions.
 */
import type { Log } from '../broker/log.ts'
import { connect, type Sql } from '../db/client.ts'
import { locate, locateDatabase } from './locate.ts'
import { eachPartitionToCome, partitionsOf, patiently } from './loop.ts'
import { inputIsPiped } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { persistLines } from './persist-lines.ts'
import { PersistWorker } from './persist-worker.ts'
import type { Program } from './program.ts'
import { AGGREGATES } from './topics.ts'

export const persist: Program = {
  usage: 'persist',
  summary: 'Merges cells into rows: the topic aggregates, to PostgreSQL.',
  details: `
With input (shelf from aggregates | shelf persist) it is a filter.
Without (a terminal, /dev/null) it works on the log itself, until it is stopped.`,
  options: {},
  async run(_args, signal) {
    if (inputIsPiped()) {
      await persistLines(locateDatabase(process.env), signal)
      return
    }
    const { databaseUrl, logUrl } = locate(process.env)
    const sql = connect(databaseUrl, { settings: { application_name: 'shelf persist' } })
    try {
      await persistLog(openLog(logUrl), sql, signal)
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}

/** Persists all partitions until `signal`, also those that are added meanwhile. */
export async function persistLog(log: Log, sql: Sql, signal: AbortSignal): Promise<void> {
  await eachPartitionToCome(
    'persist',
    signal,
    async () => partitionsOf(await log.topics(), AGGREGATES),
    (partition, stop) =>
      patiently(`persist ${partition}`, stop, (succeeded) =>
        persistPartition(log, sql, partition, stop, succeeded),
      ),
  )
}

async function persistPartition(
  log: Log,
  sql: Sql,
  partition: number,
  signal: AbortSignal,
  succeeded: () => void,
): Promise<void> {
  const worker = await PersistWorker.start(log, sql, partition)
  while (!signal.aborted) {
    await worker.step(signal)
    succeeded()
  }
}
