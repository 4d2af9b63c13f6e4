/** `shelf run`: the batch programs as one worker. Any number of workers share the work. */
import { connect } from '../db/client.ts'
import { aggregateLog } from './aggregate.ts'
import { archiveForever } from './archive.ts'
import { locateArchive } from './archive-store.ts'
import { checkLog } from './check.ts'
import { persistCheckResults } from './check-rows.ts'
import { compactForever } from './compact.ts'
import { locate } from './locate.ts'
import { together } from './loop.ts'
import { channelsOf } from './notify.ts'
import { persistDeliveries } from './notify-rows.ts'
import { notifyLog } from './notify-worker.ts'
import { openLog } from './open-log.ts'
import { persistLog } from './persist.ts'
import { type Program, say } from './program.ts'
import { retainForever } from './retain.ts'
import { keepSettings } from './retain-settings.ts'

export const run: Program = {
  usage: 'run',
  summary:
    'Runs the batch programs as one worker: aggregate, persist, compact, retain, check, notify.',
  details: `
Where SHELF_ARCHIVE is set, archive too: see shelf archive --help.`,
  options: {},
  async run(_args, signal) {
    const { databaseUrl, logUrl } = locate(process.env)
    const keep = keepSettings(process.env)
    const log = openLog(logUrl)
    const store = process.env.SHELF_ARCHIVE ? locateArchive(process.env) : undefined
    const sql = connect(databaseUrl, { settings: { application_name: 'shelf run' } })
    say('ready')
    try {
      await together(signal, [
        (stop) => aggregateLog(log, stop),
        (stop) => persistLog(log, sql, stop),
        (stop) => compactForever(databaseUrl, stop),
        (stop) => retainForever(databaseUrl, keep, stop),
        async (stop) => store && (await archiveForever(log, store, databaseUrl, stop)),
        (stop) => checkLog(log, sql, stop),
        (stop) => persistCheckResults(log, sql, stop),
        (stop) => notifyLog(log, { send: channelsOf(process.env) }, stop),
        (stop) => persistDeliveries(log, sql, stop),
      ])
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}
