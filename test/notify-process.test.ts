/** `shelf notify` as people run it: killed, without PostgreSQL, as a filter, as a test. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'
import { httpReceiver, result } from './notify-receivers.ts'
import { Restarted, type Stack, shelf, startStack, until } from './stack.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const folder = mkdtempSync(join(tmpdir(), 'shelf-notify-'))
const stops: (() => unknown)[] = []
let stack: Stack

beforeAll(async () => {
  stack = await startStack()
})
afterAll(async () => {
  for (const stop of stops) await stop()
  await stack.stop()
  rmSync(folder, { recursive: true, force: true })
})

function receiver(...args: Parameters<typeof httpReceiver>) {
  const made = httpReceiver(...args)
  stops.push(made.stop)
  return made
}

async function run(args: string[], env: Record<string, string>, input?: string) {
  const path = join(folder, 'input')
  if (input !== undefined) writeFileSync(path, input)
  const child = shelf(args, env, input === undefined ? null : Bun.file(path))
  const [out, words] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { out, words, code: await child.exited }
}

test('killed between sending and noting, and with no PostgreSQL, it sends again with the same key', async () => {
  const unanswered = Promise.withResolvers<Response>()
  const { received, url } = receiver((_, count) =>
    count === 1 ? unanswered.promise : new Response(),
  )
  const env = {
    // Nobody listens there.
    ...stack.env('postgres://shelf:none@127.0.0.1:1/shelf'),
    SHELF_CHANNEL_ONCALL: url,
    SHELF_WEBHOOK_SECRET: SECRET,
  }
  const worker = new Restarted(['notify'], env)
  stops.push(() => worker.stop())
  const record = result('demo', 'firing', 1)
  await stack.log.append('check-results', [{ key: 'demo', value: JSON.stringify(record) }])
  await until('the first try', async () => received.length === 1)
  worker.kill()
  await until('the second try', async () => received.length === 2)
  unanswered.resolve(new Response())
  const [first, second] = received
  expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'] ?? '')
  expect(new Webhook(SECRET).verify(second?.body ?? '', second?.headers ?? {})).toMatchObject({
    type: 'alert.fired',
  })

  // Killed again, when all is noted, it says nothing: what comes next is the end of the incident.
  await until('the delivery to be noted', async () => {
    const records = await stack.log.read('deliveries', 0, 0)
    return records.some(({ value }) => String(value).includes('"delivered"'))
  })
  worker.kill()
  const over = result('demo', 'ok', 5)
  await stack.log.append('check-results', [{ key: 'demo', value: JSON.stringify(over) }])
  await until('the end', async () => received.length >= 3)
  expect(received.slice(2).map(({ body }) => JSON.parse(body).type)).toEqual(['alert.recovered'])
})

test('as a filter it sends what its input says, but no history, and prints what became of it', async () => {
  const { received, url } = receiver()
  const refusing = receiver(() => new Response('no', { status: 403 }))
  const env = { SHELF_CHANNEL_ONCALL: url, SHELF_CHANNEL_REFUSING: refusing.url, SHELF_DIR: folder }
  const dayMs = 86_400_000
  const yesterday = new Date(Date.now() - dayMs).toISOString()
  const lines = (...records: object[]) =>
    records.map((line) => `${JSON.stringify(line)}\n`).join('')
  const old = result('old', 'firing', 1, { at: yesterday, incident: 'slow/old/1' })
  const position = { partition: 0, offset: 7, timestamp: yesterday }
  const input = lines(
    { ...position, ...old },
    result('a', 'firing', 1),
    result('b', 'firing', 1),
    // It fired in the history, and ends now: that is news.
    result('old', 'ok', 2, { incident: 'slow/old/1' }),
  )
  const { out, code } = await run(['notify'], env, input)
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ outcome: 'delivered', tries: 1, target: 'oncall' })
  const [got] = received
  expect(JSON.parse(got?.body ?? '').data).toMatchObject({
    items: [{ app: 'a' }, { app: 'b' }, { app: 'old', event: 'recovered' }],
    open: 2,
  })
  // Without a setting, the secret is that of the state folder.
  const { out: secret } = await run(['notify', 'secret'], env)
  expect(() => new Webhook(secret.trim()).verify(got?.body ?? '', got?.headers ?? {})).not.toThrow()
  expect(JSON.parse(readFileSync(join(folder, 'webhook.json'), 'utf8')).secret).toBe(secret.trim())

  const refused = lines(result('a', 'firing', 1, { notify: ['refusing'] }))
  const second = await run(['notify'], env, refused)
  expect(second.code).toBe(75)
  expect(JSON.parse(second.out)).toMatchObject({ outcome: 'dead', error: '403 no' })

  expect((await run(['notify'], env, '{"kind":"nonsense"}\n')).code).toBe(1)
})

test('shelf notify test says what became of a test message', async () => {
  const { received, url } = receiver(() => Response.json({}, { status: 202 }))
  const gone = receiver(() => new Response('gone', { status: 410 }))
  const env = {
    SHELF_CHANNEL_ON_CALL: 'pagerduty:a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5',
    SHELF_CHANNEL_GONE: gone.url,
    SHELF_PAGERDUTY_URL: url,
    SHELF_DIR: folder,
  }
  const all = await run(['notify', 'test'], env)
  expect(all.code).toBe(1)
  expect(all.out.split('\n').sort()).toEqual(['', 'gone\tfailed\t410 gone', 'on-call\tdelivered'])
  // What it opened, it closed.
  expect(received.map(({ body }) => JSON.parse(body).event_action)).toEqual(['trigger', 'resolve'])
  expect(received[0]?.body).toContain('Test (info)')

  const inside = await run(['notify', 'test', '--notify', 'https://127.0.0.1/x'], env)
  expect(inside.out).toBe(
    'https://127.0.0.1/…\tfailed\t127.0.0.1 is a private address: ' +
      'only channels named in the environment lead there\n',
  )
  expect((await run(['notify', 'test'], { SHELF_DIR: folder })).code).toBe(2)
  expect((await run(['notify', 'nonsense'], env)).code).toBe(2)
})
