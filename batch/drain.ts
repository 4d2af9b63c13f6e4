/** `shelf drain add|list|revoke`: the credentials with which apps send their logs. */
import { connect, type Sql } from '../db/client.ts'
import { addDrain, drainUrl, listDrains, metricsUrl, revokeDrain, signingKeys } from './drains.ts'
import { locateDatabase, locateEdge, readRunning } from './locate.ts'
import { writeOut } from './ndjson.ts'
import { type Arguments, type Program, say, UsageError } from './program.ts'
import { stateDir, writeRevoked } from './state.ts'

export const drain: Program = {
  usage: 'drain add APP | list [APP] | revoke ID',
  summary: 'Issues, lists and revokes drains.',
  details: `
  add APP     prints the URL of a new drain, its only line on stdout:
              heroku drains:add "$(shelf drain add my-app)" -a my-app
              and on stderr the HEROKU_METRICS_URL for its language runtime
  list [APP]  prints the drains: id, app, key, issued, revoked
  revoke ID   makes the edge refuse a drain, from now on`,
  options: {
    edge: { type: 'string', value: 'URL', help: "the edge's address (default: this stack's)" },
    'dry-run': { type: 'boolean', help: 'say what would be done, and do nothing' },
  },
  positionals: [1, 2],
  async run(args) {
    const sql = connect(locateDatabase(process.env), { max: 1 })
    try {
      const [verb = ''] = args.positionals
      const act = { add, list, revoke }[verb]
      if (act === undefined) throw new UsageError(`usage: shelf ${drain.usage}`)
      await act(sql, args)
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}

async function add(sql: Sql, { text, flags, positionals }: Arguments): Promise<void> {
  const [, app] = positionals
  if (app === undefined) throw new UsageError('usage: shelf drain add APP')
  const [key] = signingKeys(process.env)
  if (key === undefined) throw new Error('there is no key to sign a drain with')
  const edgeUrl = text.edge ?? locateEdge(process.env)
  if (flags['dry-run']) {
    say(`would issue a drain for ${app} at ${edgeUrl}, signed with key ${key.id}`)
    return
  }
  const url = await drainUrl(edgeUrl, key, await addDrain(sql, key, app))
  say(`for the metrics of language runtimes: HEROKU_METRICS_URL=${metricsUrl(url)}`)
  await writeOut(`${url}\n`)
}

async function list(sql: Sql, { positionals }: Arguments): Promise<void> {
  for (const row of await listDrains(sql, positionals[1])) {
    const revoked = row.revokedAt === null ? '-' : row.revokedAt.toISOString()
    const fields = [row.id, row.app, row.keyId, row.createdAt.toISOString(), revoked]
    await writeOut(`${fields.join('\t')}\n`)
  }
}

async function revoke(sql: Sql, { flags, positionals }: Arguments): Promise<void> {
  const [, id] = positionals
  if (id === undefined) throw new UsageError('usage: shelf drain revoke ID')
  if (flags['dry-run']) {
    say(`would revoke drain ${id}`)
    return
  }
  const revoked = await revokeDrain(sql, id)
  const dir = stateDir(process.env)
  if (readRunning(dir)?.urls.postgres === locateDatabase(process.env)) {
    writeRevoked(dir, revoked)
    say(`revoked ${id}; the edge of this stack refuses it within a second`)
  } else {
    say(`revoked ${id}. Tell the edge: SHELF_REVOKED=${revoked.join()}`)
  }
}
