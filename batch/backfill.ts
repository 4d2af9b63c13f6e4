/**
 * `shelf backfill`: makes the rows of a range of time again from the raw log, and puts them in the
 * place of those that there are, while live traffic goes on.
 */
import type { Log } from '../broker/log.ts'
import { connect } from '../db/client.ts'
import { type Call, callOf } from './backfill-call.ts'
import { runBackfill } from './backfill-run.ts'
import { locate } from './locate.ts'
import { writeOut } from './ndjson.ts'
import { openLog } from './open-log.ts'
import type { Program } from './program.ts'
import { liveSource, type RawSource } from './raw-source.ts'

/** Partitions are staged side by side; the lock and a transaction that holds persist come on top. */
const CONNECTIONS_MAX = 6

export const backfill: Program = {
  usage: 'backfill --since TIME [--until TIME] [--app APP]…',
  summary: 'Makes rows of a time range again from the raw log, and replaces those that differ.',
  details: `
Times are those of the events. Afterwards the rows are those of a full replay of the log, also
where late data comes in the middle of it; nothing else changes. Of shelf.dynos, sightings are
only added. Interrupted, the same command goes on where it was.

  shelf backfill --since 2026-11-23T03:00 --until 2026-11-23T04:00 --dry-run
  shelf backfill --since 2d --app my-app --from archive`,
  options: {
    since: { type: 'string', value: 'TIME', help: 'from when: 2h, 3d, 2026-11-23T03:00' },
    until: { type: 'string', value: 'TIME', help: 'until when; without it, now' },
    app: { type: 'string', value: 'APP', multiple: true, help: 'only this app; may be repeated' },
    from: {
      type: 'string',
      value: 'SOURCE',
      help: 'raw (the log), or archive with the log behind',
    },
    'dry-run': { type: 'boolean', help: 'print the rows that would change, and how' },
  },
  async run(args, signal) {
    const call = callOf(args)
    const { databaseUrl, logUrl } = locate(process.env)
    const log = openLog(logUrl)
    const source = await sourceOf(call.from, log)
    const settings = { application_name: 'shelf backfill' }
    const sql = connect(databaseUrl, { max: CONNECTIONS_MAX, settings })
    try {
      await runBackfill({ databaseUrl, sql, log, source, call, print: writeOut, signal })
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}

async function sourceOf(from: Call['from'], log: Log): Promise<RawSource> {
  if (from === 'raw') return liveSource(log)
  const { locateArchive } = await import('./archive-store.ts')
  const { archiveSource } = await import('./archive-source.ts')
  return archiveSource(locateArchive(process.env), log)
}
