/** From check-results to receivers, over a real log: grouping, retries, restarts, several at once. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, spyOn, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseDelivery, type Try } from '../batch/notify-record.ts'
import { deliveriesFrom } from '../batch/notify-start.ts'
import { type NotifyOptions, notifyLog } from '../batch/notify-worker.ts'
import { EmbeddedLog } from '../broker/embedded.ts'
import type { Log } from '../broker/log.ts'
import type { CheckRecord } from '../core/check-result.ts'
import { channels } from '../notify/channel.ts'
import { httpReceiver, result } from './notify-receivers.ts'
import { until } from './stack.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const APPS = Array.from({ length: 50 }, (_, i) => `app-${i}`)
const GROUP_WAIT_MS = 300

let folder: string
let log: EmbeddedLog
let running: { stop(): Promise<void> }[] = []
let stderr: ReturnType<typeof spyOn>

beforeAll(() => {
  stderr = spyOn(process.stderr, 'write').mockImplementation(() => true)
})
afterAll(() => stderr.mockRestore())
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shelf-notify-'))
  const topics = Object.fromEntries(
    ['check-results', 'deliveries', 'dead-letter'].map((topic) => [topic, { partitions: 4 }]),
  )
  log = new EmbeddedLog({ folder, topics })
})
afterEach(async () => {
  await Promise.all(running.map(({ stop }) => stop()))
  running = []
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

function receiver(...args: Parameters<typeof httpReceiver>) {
  const made = httpReceiver(...args)
  running.push({ stop: async () => void (await made.stop()) })
  return made
}

/** One notify, with channels by name. */
function notify(
  named: Record<string, string>,
  options: Partial<NotifyOptions> = {},
  on: Log = log,
) {
  const env = Object.fromEntries(
    Object.entries(named).map(([name, url]) => [`SHELF_CHANNEL_${name.toUpperCase()}`, url]),
  )
  const send = channels({ env, webhookSecrets: () => [SECRET] })
  const end = new AbortController()
  const done = notifyLog(on, { send, groupWaitMs: GROUP_WAIT_MS, ...options }, end.signal)
  const stop = () => {
    end.abort()
    return done
  }
  const made = { stop }
  running.push(made)
  return made
}

/** Writes what check would: the partition follows from the app. */
async function check(...records: CheckRecord[]): Promise<void> {
  await log.append(
    'check-results',
    records.map((record) => ({
      ...(record.kind === 'checkpoint' ? {} : { key: record.app }),
      value: JSON.stringify(record),
    })),
  )
}

const alerts = (received: { body: string }[]) =>
  received.map(({ body }) => {
    const { type, data } = JSON.parse(body)
    return `${type} ${data.items.length} of ${data.open}`
  })

async function tries(): Promise<Try[]> {
  const found: Try[] = []
  for await (const record of deliveriesFrom(log, 0)) {
    const delivery = parseDelivery(record)
    if (delivery?.kind === 'try') found.push(delivery)
  }
  return found
}

const delivered = (count: number) =>
  until(`${count} deliveries`, async () => {
    const found = (await tries()).filter(({ outcome }) => outcome === 'delivered')
    return found.length >= count
  })

test('fifty apps at once are one message, their end another, and a restart says nothing again', async () => {
  const { received, url } = receiver()
  const first = notify({ oncall: url })
  await check(...APPS.map((app) => result(app, 'firing', 1)))
  await delivered(1)
  expect(alerts(received)).toEqual(['alert.fired 50 of 50'])

  await first.stop()
  const second = notify({ oncall: url })
  await check(...APPS.map((app) => result(app, 'ok', 5)))
  await delivered(2)
  expect(alerts(received)).toEqual(['alert.fired 50 of 50', 'alert.recovered 50 of 0'])

  // Repeats of a second checker, and then something new: only that is said.
  await second.stop()
  notify({ oncall: url })
  await check(...APPS.map((app) => result(app, 'firing', 1)), result('new', 'firing', 6))
  await delivered(3)
  expect(alerts(received).slice(2)).toEqual(['alert.fired 1 of 1'])
})

test('what came while nobody notified is said at the next start', async () => {
  const { received, url } = receiver()
  await notify({ oncall: url }).stop()
  await check(result('a', 'firing', 1))
  notify({ oncall: url })
  await delivered(1)
  expect(alerts(received)).toEqual(['alert.fired 1 of 1'])
})

test('of several at once one sends', async () => {
  const { received, url } = receiver()
  for (let i = 0; i < 3; i++) notify({ oncall: url })
  await check(...APPS.map((app) => result(app, 'firing', 1)))
  await delivered(1)
  await check(...APPS.map((app) => result(app, 'ok', 5)))
  await delivered(2)
  expect(alerts(received)).toEqual(['alert.fired 50 of 50', 'alert.recovered 50 of 0'])
})

test('a channel that is dead, and one that hangs, delay no other', async () => {
  const hanging = Promise.withResolvers<Response>()
  const slow = receiver(() => hanging.promise)
  const dead = receiver()
  await dead.stop()
  const { received, url } = receiver()
  notify({ slow: slow.url, dead: dead.url, oncall: url })
  const targets = { notify: ['slow', 'dead', 'oncall'] }
  await check(result('a', 'firing', 1, targets))
  await delivered(1)
  await check(result('a', 'ok', 5, targets))
  await delivered(2)
  expect(alerts(received)).toEqual(['alert.fired 1 of 1', 'alert.recovered 1 of 0'])
  expect(slow.received).toHaveLength(1)
  expect((await tries()).filter(({ target }) => target === 'dead')).not.toEqual([])
  hanging.resolve(new Response('ok'))
})

test('a channel that says when to come again is left alone until then, and gets all in order', async () => {
  const { received, url } = receiver((_, count) =>
    count === 1
      ? new Response(null, { status: 429, headers: { 'retry-after': '2' } })
      : new Response(),
  )
  notify({ oncall: url })
  await check(result('a', 'firing', 1))
  await until('the first try', async () => received.length > 0)
  await check(result('a', 'ok', 5))
  await delivered(2)
  expect(alerts(received)).toEqual([
    'alert.fired 1 of 1',
    'alert.fired 1 of 1',
    'alert.recovered 1 of 0',
  ])
  const [first, second] = received
  expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(2000)
  expect(first?.headers['webhook-id']).toBe(second?.headers['webhook-id'] ?? '')
})

test('a message that a channel never takes delays none of another group', async () => {
  const { received, url } = receiver(({ body }) =>
    body.includes('poison') ? new Response(null, { status: 500 }) : new Response(),
  )
  notify({ oncall: url })
  await check(result('a', 'firing', 1, { name: 'poison' }))
  await until('the second try', async () => received.length > 1)
  await check(result('b', 'firing', 2), result('a', 'ok', 5, { name: 'poison' }))
  await delivered(1)
  expect(received.some(({ body }) => JSON.parse(body).data.items[0].app === 'b')).toBe(true)
  // What is behind it in its own group waits.
  expect(alerts(received)).not.toContain('alert.recovered 1 of 0')
})

test('what is refused goes to the dead letters at once, what fails too long does later', async () => {
  const refusing = receiver(() => new Response('no such hook', { status: 404 }))
  const failing = receiver(() => new Response('oh', { status: 500 }))
  notify({ refusing: refusing.url, failing: failing.url }, { giveUpMs: 1000 })
  await check(result('a', 'firing', 1, { notify: ['refusing', 'failing'] }))
  await until('both to be given up', async () => {
    const dead = (await tries()).filter(({ outcome }) => outcome === 'dead')
    return dead.length === 2
  })
  const found = await tries()
  expect(found.find(({ target }) => target === 'refusing')).toMatchObject({
    ...{ outcome: 'dead', tries: 1, error: '404 no such hook' },
  })
  expect(found.filter(({ target }) => target === 'failing').length).toBeGreaterThan(1)
  const letters = []
  for (let partition = 0; partition < 4; partition++) {
    letters.push(...(await log.read('dead-letter', partition, 0)))
  }
  const words = letters.map(({ value }) => JSON.parse(String(value)))
  expect(words.map(({ code, message }) => `${code}: ${message}`).sort()).toEqual([
    'undelivered: 404 no such hook',
    'undelivered: 500 oh',
  ])
  expect(JSON.parse(words[0].value).items).toHaveLength(1)
})

test('the log may be away for a while: what is said is said once', async () => {
  const { received, url } = receiver()
  let isAway = false
  const fail =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (isAway) throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
      return await call(...args)
    }
  const shaky: Log = {
    topics: fail(() => log.topics()),
    createTopics: (wanted) => log.createTopics(wanted),
    offsetAt: fail((...args: Parameters<Log['offsetAt']>) => log.offsetAt(...args)),
    // A read that waits would find out late.
    read: fail((topic, partition, offset, options) =>
      log.read(topic, partition, offset, { ...options, waitMs: 50 }),
    ),
    append: fail((...args: Parameters<Log['append']>) => log.append(...args)),
  }
  notify({ oncall: url }, { groupWaitMs: 50 }, shaky)
  await check(result('a', 'firing', 1))
  await delivered(1)
  isAway = true
  await check(result('b', 'firing', 2))
  await Bun.sleep(500)
  isAway = false
  await delivered(2)
  expect(alerts(received)).toEqual(['alert.fired 1 of 1', 'alert.fired 1 of 2'])
})

test('what is no record of check is passed over, and muted ones are not sent', async () => {
  const { received, url } = receiver()
  notify({ oncall: url })
  await log.append('check-results', [{ key: 'a', value: 'nonsense' }])
  await check(result('a', 'firing', 1, { muted: 'maintenance', saidAt: null }))
  await check(result('b', 'firing', 1))
  await delivered(1)
  expect(received.map(({ body }) => JSON.parse(body).data.items[0].app)).toEqual(['b'])
})

test('check-results that were made anew are read from their start, without a restart', async () => {
  const { received, url } = receiver()
  let results = log
  const replaceable: Log = {
    topics: () => log.topics(),
    createTopics: (wanted) => log.createTopics(wanted),
    append: (...args) => log.append(...args),
    offsetAt: (topic, ...args) => of(topic).offsetAt(topic, ...args),
    // A read that waits would look at the old one.
    read: (topic, partition, offset, options) =>
      of(topic).read(topic, partition, offset, { ...options, waitMs: 20 }),
  }
  const of = (topic: string): Log => (topic === 'check-results' ? results : log)
  notify({ oncall: url }, {}, replaceable)
  await check(...APPS.map((app) => result(app, 'firing', 1)))
  await delivered(1)
  const other = new EmbeddedLog({
    folder: mkdtempSync(join(folder, 'other-')),
    topics: { 'check-results': { partitions: 4 } },
  })
  results = other
  const record = result('new', 'firing', 2)
  await other.append('check-results', [{ key: 'new', value: JSON.stringify(record) }])
  await delivered(2)
  expect(alerts(received)).toEqual(['alert.fired 50 of 50', 'alert.fired 1 of 51'])
  await Promise.all(running.splice(0).map(({ stop }) => stop()))
  await other.close()
})
