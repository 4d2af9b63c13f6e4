/** What a backfill is asked for. */
import { appNameSchema } from '../core/credential.ts'
import { MINUTE_MS, minuteOf } from '../core/ledger.ts'
import { version } from '../package.json'
import { type Arguments, UsageError } from './program.ts'
import { parseTime } from './time.ts'

export interface Call {
  /** Unix ms, of whole minutes. */
  sinceMs: number
  untilMs: number
  apps: string[] | undefined
  from: 'raw' | 'archive'
  isDry: boolean
  /**
   * What it was called with, and which Shelf: the same again is to resume it. What another version
   * staged may be what this one makes otherwise.
   */
  text: string
}

/** Times that are no whole minutes are widened to such. @throws UsageError */
export function callOf({ text, texts, flags }: Arguments): Call {
  const { since, until = 'now', from = 'raw' } = text
  if (since === undefined) throw new UsageError('--since tells from when on')
  if (from !== 'raw' && from !== 'archive') throw new UsageError('--from takes raw or archive')
  const sinceMs = Math.max(0, minuteOf(parseTime(since)))
  const untilMs = Math.ceil(parseTime(until) / MINUTE_MS) * MINUTE_MS
  if (sinceMs >= untilMs) throw new UsageError('--since must lie before --until')
  const apps = texts.app && [...new Set(texts.app)].sort()
  for (const app of apps ?? []) {
    if (!appNameSchema.safeParse(app).success) throw new UsageError(`${app} is no name of an app`)
  }
  const isDry = flags['dry-run'] === true
  const called = JSON.stringify({
    version,
    since,
    until,
    from,
    ...(apps && { apps }),
    ...(isDry && { isDry }),
  })
  return { sinceMs, untilMs, apps, from, isDry, text: called }
}
