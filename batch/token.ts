/** `shelf token add|list|revoke`: who may look at the dashboard. */
import { z } from 'zod'
import { connect, type Sql } from '../db/client.ts'
import { addToken, listTokens, newToken, revokeToken, tokenAppsSchema } from '../web/access.ts'
import { locateDatabase } from './locate.ts'
import { writeOut } from './ndjson.ts'
import { type Arguments, type Program, say, UsageError } from './program.ts'

export const token: Program = {
  usage: 'token add | list | revoke ID',
  summary: 'Issues, lists and revokes access tokens of the dashboard and its API.',
  details: `
  add         prints a new token, its only line on stdout: it can't be had a second time
              shelf token add --app shop --app billing --label 'Ada'
              shelf token add --all
  list        prints the tokens: id, apps, label, issued, revoked
  revoke ID   ends a token, from now on`,
  options: {
    app: { type: 'string', value: 'APP', help: 'that its holder may see; several with commas' },
    all: { type: 'boolean', help: 'its holder may see all apps' },
    label: { type: 'string', value: 'TEXT', help: 'for whom it is' },
    'dry-run': { type: 'boolean', help: 'say what would be done, and do nothing' },
  },
  positionals: [1, 2],
  async run(args) {
    const sql = connect(locateDatabase(process.env), { max: 1 })
    try {
      const [verb = ''] = args.positionals
      const act = { add, list, revoke }[verb]
      if (act === undefined) throw new UsageError(`usage: shelf ${token.usage}`)
      await act(sql, args)
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}

async function add(sql: Sql, { text, flags }: Arguments): Promise<void> {
  const apps = text.app?.split(',').map((name) => name.trim())
  if ((apps === undefined) !== (flags.all === true)) {
    throw new UsageError('name the apps with --app, or say --all')
  }
  const named = tokenAppsSchema.optional().safeParse(apps)
  if (!named.success) throw new UsageError(z.prettifyError(named.error))
  const scope = apps === undefined ? 'all apps' : apps.join(', ')
  if (flags['dry-run']) return say(`would issue a token for ${scope}`)
  const made = newToken()
  const id = await addToken(sql, made, named.data, text.label)
  say(`token ${id} for ${scope}; shelf token revoke ${id} ends it`)
  await writeOut(`${made}\n`)
}

async function list(sql: Sql): Promise<void> {
  for (const { id, apps, label, createdAt, revokedAt } of await listTokens(sql)) {
    const revoked = revokedAt === null ? '-' : revokedAt.toISOString()
    const fields = [id, apps?.join(',') ?? '*', label || '-', createdAt.toISOString(), revoked]
    await writeOut(`${fields.join('\t')}\n`)
  }
}

async function revoke(sql: Sql, { flags, positionals }: Arguments): Promise<void> {
  const [, id] = positionals
  if (id === undefined) throw new UsageError('usage: shelf token revoke ID')
  if (flags['dry-run']) return say(`would revoke token ${id}`)
  if (!(await revokeToken(sql, id))) {
    throw new UsageError(`there is no token ${id}: shelf token list has them`)
  }
  say(`revoked ${id}`)
}
