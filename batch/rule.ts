/** `shelf rule`: what check watches. Rules live in the database, and in a file of yours if you like. */
import { readFileSync } from 'node:fs'
import { idOf, type Rule, summaryOf } from '../core/rule.ts'
import { connect, type Sql, type Transaction } from '../db/client.ts'
import { change, deleteRule, saveRule } from '../db/rules.ts'
import { showTarget } from '../notify/target.ts'
import { locateDatabase, locateLog } from './locate.ts'
import { writeOut } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { type Arguments, type Program, say, UsageError } from './program.ts'
import { diffRules } from './rule-diff.ts'
import { parseRulesFile, printRulesFile } from './rule-file.ts'
import { fieldsOf, parseMinutes, parseRule, RULE_OPTIONS } from './rule-options.ts'
import { RulePublisher } from './rule-publish.ts'
import { mustFindRule, storedRules } from './rule-stored.ts'
import { ruleTest } from './rule-test.ts'

/** Who edits a rule waits so long for the log to hear of it; `shelf run` tells it in any case. */
const PUBLISH_MS_MAX = 3000

export const rule: Program = {
  usage: 'rule add [ID] | list | show [ID…] | edit ID | mute ID | delete ID | test ID | apply FILE',
  summary: 'Edits what is watched: rules, per app and process type.',
  details: `
  add [ID]    shelf rule add --app demo --process web --metric p95 --threshold 1000 \\
                --window 1m --min-requests 10 --notify https://example.com/hook
              prints the new rule's id
  list        prints the rules: id, what, severity, targets, and whether it is off or muted
  show [ID…]  prints rules as a file, as apply takes it
  edit ID     sets what the options say; an empty one takes back what was set
  mute ID     is decided, but tells nobody: --for 2h, or for ever; --off ends it
  delete ID   ends what it said
  test ID     prints when it would have fired, from the rows: --days 7, 30 or 90. Without an id the
              options name a rule that is not there yet
  apply FILE  makes the rules those of the file, others are deleted; prints the difference first, and
              does nothing before it is told so: --yes`,
  options: {
    ...RULE_OPTIONS,
    for: { type: 'string', value: 'TIME', help: 'mute: for so long' },
    off: { type: 'boolean', help: 'mute: no more' },
    disable: { type: 'boolean', help: 'edit: it is not decided any more' },
    enable: { type: 'boolean', help: 'edit: it is again' },
    days: { type: 'string', value: 'N', help: 'test: how far back (default 7)' },
    yes: { type: 'boolean', help: 'apply: without being asked' },
    keep: { type: 'boolean', help: 'apply: rules that the file does not name stay' },
    'dry-run': { type: 'boolean', help: 'print what would be changed, and change nothing' },
  },
  positionals: [1, 100],
  async run(args) {
    const sql = connect(locateDatabase(process.env), { max: 1 })
    try {
      const [verb = ''] = args.positionals
      const act = { add, list, show, edit, mute, delete: remove, test: ruleTest, apply }[verb]
      if (act === undefined) throw new UsageError(`usage: shelf ${rule.usage}`)
      await act(sql, args)
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}

async function add(sql: Sql, args: Arguments): Promise<void> {
  const fields = fieldsOf(args)
  const [, id = idOf(fields)] = args.positionals
  const added = parseRule({ ...fields, id })
  await save(sql, args, async (transaction) => {
    const isThere = (await storedRules(transaction)).some((rule) => rule.id === id)
    if (isThere) throw new UsageError(`there is a rule ${id}: edit it, or name this one: add ID`)
    return added
  })
  await writeOut(`${id}\n`)
}

async function edit(sql: Sql, args: Arguments): Promise<void> {
  const { enable, disable } = args.flags
  const state = enable || disable ? { enabled: enable === true } : {}
  const fields = { ...fieldsOf(args), ...state }
  await save(sql, args, async (transaction) =>
    parseRule({ ...(await mustFindRule(transaction, idIn(args))), ...fields }),
  )
}

async function mute(sql: Sql, args: Arguments): Promise<void> {
  const forMs = args.text.for === undefined ? undefined : parseMinutes(args.text.for) * 60_000
  const until = forMs === undefined ? 'forever' : new Date(Date.now() + forMs).toISOString()
  const mutedUntil = args.flags.off ? null : until
  await save(sql, args, async (transaction) =>
    parseRule({ ...(await mustFindRule(transaction, idIn(args))), mutedUntil }),
  )
}

async function remove(sql: Sql, args: Arguments): Promise<void> {
  const { id } = await mustFindRule(sql, idIn(args))
  if (isDry(args, [`- ${id}`])) return
  await change(sql, (transaction) => deleteRule(transaction, id))
  await publish(sql)
}

/** @param make reads what is there in the transaction that writes: nobody edits in between */
async function save(
  sql: Sql,
  args: Arguments,
  make: (transaction: Sql | Transaction) => Promise<Rule>,
): Promise<void> {
  if (args.flags['dry-run'] === true) {
    const rule = await make(sql)
    isDry(args, [`${rule.id} ${summaryOf(rule)}`])
    return
  }
  await change(sql, async (transaction) => await saveRule(transaction, await make(transaction)))
  await publish(sql)
}

function isDry({ flags }: Arguments, lines: readonly string[]): boolean {
  if (flags['dry-run'] !== true) return false
  for (const line of lines) say(`would change: ${line}`)
  return true
}

function idIn({ positionals }: Arguments): string {
  const [verb, id] = positionals
  if (id === undefined) throw new UsageError(`usage: shelf rule ${verb} ID`)
  return id
}

async function list(sql: Sql, { text }: Arguments): Promise<void> {
  for (const rule of await storedRules(sql)) {
    if (text.app !== undefined && !rule.apps.includes(text.app)) continue
    const state = rule.enabled ? (rule.mutedUntil === null ? 'on' : mutedWords(rule)) : 'off'
    const fields = [
      rule.id,
      summaryOf(rule),
      rule.severity,
      rule.notify.map(showTarget).join(',') || '-',
      state,
    ]
    await writeOut(`${fields.join('\t')}\n`)
  }
}

function mutedWords({ mutedUntil }: Rule): string {
  if (mutedUntil === 'forever') return 'muted'
  const isOver = mutedUntil === null || Date.parse(mutedUntil) <= Date.now()
  return isOver ? 'on' : `muted until ${mutedUntil}`
}

async function show(sql: Sql, { positionals }: Arguments): Promise<void> {
  const ids = positionals.slice(1)
  const rules = ids.length === 0 ? await storedRules(sql) : []
  for (const id of ids) rules.push(await mustFindRule(sql, id))
  await writeOut(printRulesFile(rules))
}

async function apply(sql: Sql, args: Arguments): Promise<void> {
  const [, path] = args.positionals
  if (path === undefined) throw new UsageError('usage: shelf rule apply FILE')
  const wanted = parseRulesFile(readFileSync(path, 'utf8'))
  const keep = args.flags.keep === true
  const { lines } = diffRules(await storedRules(sql), wanted, { keep })
  for (const line of lines) await writeOut(`${line}\n`)
  if (lines.length === 0) say('the rules are those of the file')
  if (lines.length === 0 || args.flags['dry-run'] || !isAllowed(args)) return
  await change(sql, async (transaction) => {
    // Somebody may have edited rules since they were printed: the file is right.
    const diff = diffRules(await storedRules(transaction), wanted, { keep })
    for (const rule of diff.save) await saveRule(transaction, rule)
    for (const id of diff.delete) await deleteRule(transaction, id)
  })
  await publish(sql)
}

function isAllowed({ flags }: Arguments): boolean {
  if (flags.yes) return true
  if (!process.stdin.isTTY) throw new UsageError('nothing was changed: --yes says that it may be')
  return confirm('Change the rules so?')
}

/** Tells the log at once, if it is there. */
export async function publish(sql: Sql): Promise<void> {
  try {
    const published = new RulePublisher(openLog(locateLog(process.env)), sql).step()
    const late = Bun.sleep(PUBLISH_MS_MAX).then(() =>
      Promise.reject(new Error('it takes too long')),
    )
    await Promise.race([published, late])
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    say(`saved; the log was not told (${words}): shelf run does so when it is there`)
  }
}
