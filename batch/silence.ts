/** `shelf silence`: times in which nobody is told, with a name and a reason. */
import { randomBytes } from 'node:crypto'
import { userInfo } from 'node:os'
import { z } from 'zod'
import { silenceSchema } from '../core/rule-record.ts'
import { connect, type Sql } from '../db/client.ts'
import { change, deleteSilence, listSilences, saveSilence } from '../db/rules.ts'
import { locateDatabase } from './locate.ts'
import { writeOut } from './ndjson.ts'
import { type Arguments, type Program, say, UsageError } from './program.ts'
import { publish } from './rule.ts'
import { parseMinutes } from './rule-options.ts'
import { parseTime } from './time.ts'

export const silence: Program = {
  usage: 'silence add | list | delete ID',
  summary: 'Keeps notifications quiet for a time, of an app, a rule, or all.',
  details: `
  add        shelf silence add --app demo --for 2h --reason 'moving the database'
             prints its id. Rules are decided all the same; what still fires when it ends is told then
  list       prints those that are not over: id, app, rule, since, until, author, reason
  delete ID  ends it`,
  options: {
    app: { type: 'string', value: 'APP', help: 'the app (default: all)' },
    rule: { type: 'string', value: 'ID', help: 'the rule (default: all)' },
    since: { type: 'string', value: 'TIME', help: 'from when (default: now)' },
    until: { type: 'string', value: 'TIME', help: 'until when: 2026-11-23T06:00' },
    for: { type: 'string', value: 'TIME', help: 'or for how long: 2h' },
    author: { type: 'string', value: 'NAME', help: 'who wants it (default: you)' },
    reason: { type: 'string', value: 'WORDS', help: 'why' },
    'dry-run': { type: 'boolean', help: 'say what would be done, and do nothing' },
  },
  positionals: [1, 2],
  async run(args) {
    const sql = connect(locateDatabase(process.env), { max: 1 })
    try {
      const [verb = ''] = args.positionals
      const act = { add, list, delete: remove }[verb]
      if (act === undefined) throw new UsageError(`usage: shelf ${silence.usage}`)
      await act(sql, args)
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}

async function add(sql: Sql, { text, flags }: Arguments): Promise<void> {
  const sinceMs = text.since === undefined ? Date.now() : parseTime(text.since)
  const parsed = silenceSchema.safeParse({
    app: text.app ?? null,
    rule: text.rule ?? null,
    since: new Date(sinceMs).toISOString(),
    until: new Date(untilOf(text, sinceMs)).toISOString(),
    author: text.author ?? userInfo().username,
    reason: text.reason ?? '',
  })
  if (!parsed.success) throw new UsageError(z.prettifyError(parsed.error))
  const { data } = parsed
  if (data.reason === '') throw new UsageError('--reason says why')
  if (data.until <= data.since) throw new UsageError('it ends before it begins')
  if (flags['dry-run']) return say(`would be silent from ${data.since} until ${data.until}`)
  const id = randomBytes(4).toString('hex')
  await change(sql, (transaction) => saveSilence(transaction, { id, ...data }))
  await publish(sql)
  await writeOut(`${id}\n`)
}

function untilOf(text: Arguments['text'], sinceMs: number): number {
  if (text.for !== undefined) return sinceMs + parseMinutes(text.for) * 60_000
  if (text.until !== undefined) return parseTime(text.until)
  throw new UsageError('--for TIME or --until TIME says how long')
}

async function list(sql: Sql): Promise<void> {
  for (const { id, app, rule, since, until, author, reason } of await listSilences(sql)) {
    await writeOut(`${[id, app ?? '-', rule ?? '-', since, until, author, reason].join('\t')}\n`)
  }
}

async function remove(sql: Sql, { positionals, flags }: Arguments): Promise<void> {
  const [, id] = positionals
  if (id === undefined) throw new UsageError('usage: shelf silence delete ID')
  if (flags['dry-run']) return say(`would end the silence ${id}`)
  await change(sql, async (transaction) => {
    if (!(await deleteSilence(transaction, id))) throw new UsageError(`there is no silence ${id}`)
  })
  await publish(sql)
}
