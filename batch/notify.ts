/**
 * `shelf notify`: what check decided becomes messages to people. It depends on the log alone: while
 * PostgreSQL is down it goes on, also after a restart.
 */
import { connect, type Sql } from '../db/client.ts'
import { channels, type Send } from '../notify/channel.ts'
import { showTarget } from '../notify/target.ts'
import { locateDatabase, locateLog } from './locate.ts'
import { inputIsPiped, writeOut } from './ndjson.ts'
import { notifyLines } from './notify-lines.ts'
import { listDeliveries } from './notify-rows.ts'
import { webhookSecrets } from './notify-secret.ts'
import { testMessage } from './notify-test.ts'
import { notifyLog } from './notify-worker.ts'
import { openLog } from './open-log.ts'
import { type Arguments, type Program, UsageError } from './program.ts'
import type { Environment } from './state.ts'

const CHANNEL = 'SHELF_CHANNEL_'

export const notify: Program = {
  usage: 'notify [test | list | secret]',
  summary: 'Tells people what check decided: the topic check-results, to channels.',
  details: `
With input (shelf from check-results --since 10m | shelf notify) it is a filter.
Without (a terminal, /dev/null) it works on the log itself, until it is stopped.

  test    sends a test message and prints what became of it
  list    prints what was sent, the newest first: time, result, tries, target, title, error
  secret  prints what webhooks are signed with (Standard Webhooks, v1)

A target is https://… (a webhook), https://hooks.slack.com/…, slack+https://…,
pagerduty:ROUTING_KEY, mailto:ada@example.com, log:, or a name: oncall is what
SHELF_CHANNEL_ONCALL says; of a webhook, its own secret may follow: "https://… whsec_…".`,
  options: {
    notify: { type: 'string', value: 'TARGET', help: 'test: only this (default: all named ones)' },
    failed: { type: 'boolean', help: 'list: only what is not delivered' },
  },
  positionals: [0, 1],
  async run(args, signal) {
    const [verb] = args.positionals
    if (verb === 'test') return await test(args)
    if (verb === 'list') return await list(args)
    if (verb === 'secret') return await writeOut(`${webhookSecrets(process.env).join(' ')}\n`)
    if (verb !== undefined) throw new UsageError(`usage: shelf ${notify.usage}`)
    const send = channelsOf(process.env)
    if (inputIsPiped()) await notifyLines(send, signal)
    else await notifyLog(openLog(locateLog(process.env)), { send }, signal)
  },
}

/** The channels as the environment sets them. */
export function channelsOf(env: Environment): Send {
  return channels({ env, webhookSecrets: () => webhookSecrets(env) })
}

async function test({ text }: Arguments): Promise<void> {
  const targets = text.notify === undefined ? namedIn(process.env) : [text.notify]
  if (targets.length === 0) throw new UsageError(`give --notify TARGET, or name some: ${CHANNEL}…`)
  const send = channelsOf(process.env)
  const failed = await Promise.all(targets.map((target) => testOne(send, target)))
  const failures = failed.filter((hasFailed) => hasFailed).length
  if (failures > 0) throw new Error(`${failures} of ${targets.length} not delivered`)
}

/** @returns whether it failed */
async function testOne(send: Send, target: string): Promise<boolean> {
  const outcome = await send(testMessage(target, 1))
  // What opens an alert must not leave it open.
  if (outcome.isDelivered && isPagerDuty(target)) await send(testMessage(target, 0))
  const words = outcome.isDelivered ? 'delivered' : `failed\t${outcome.words}`
  await writeOut(`${showTarget(target)}\t${words}\n`)
  return !outcome.isDelivered
}

const variableOf = (name: string): string => CHANNEL + name.toUpperCase().replaceAll('-', '_')

const isPagerDuty = (target: string): boolean =>
  (process.env[variableOf(target)] ?? target).startsWith('pagerduty:')

/** The names that the environment gives to channels. */
function namedIn(env: Environment): string[] {
  return Object.keys(env)
    .filter((key) => key.startsWith(CHANNEL) && env[key])
    .map((key) => key.slice(CHANNEL.length).toLowerCase().replaceAll('_', '-'))
}

async function list({ flags }: Arguments): Promise<void> {
  const sql: Sql = connect(locateDatabase(process.env), { max: 1 })
  try {
    for (const row of await listDeliveries(sql, { onlyFailed: flags.failed === true })) {
      const fields = [row.triedAt.toISOString(), row.outcome, row.tries, row.target, row.title]
      await writeOut(`${[...fields, row.error ?? ''].join('\t')}\n`)
    }
  } finally {
    await sql.end({ timeout: 5 })
  }
}
