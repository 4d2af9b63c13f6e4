/** `shelf run`: the batch programs as one worker. Any number of workers share the work. */
import { connect } from '../db/client.ts'
import { aggregateLog } from './aggregate.ts'
import { compactForever } from './compact.ts'
import { locate } from './locate.ts'
import { together } from './loop.ts'
import { openLog } from './open-log.ts'
import { persistLog } from './persist.ts'
import { type Program, say } from './program.ts'

export const run: Program = {
  usage: 'run',
  summary: 'Runs the batch programs as one worker: aggregate, persist and compact.',
  options: {},
  async run(_args, signal) {
    const { databaseUrl, logUrl } = locate(process.env)
    const log = openLog(logUrl)
    const sql = connect(databaseUrl, { settings: { application_name: 'shelf run' } })
    say('ready')
    try {
      await together(signal, [
        (stop) => aggregateLog(log, stop),
        (stop) => persistLog(log, sql, stop),
        (stop) => compactForever(databaseUrl, stop),
      ])
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}
