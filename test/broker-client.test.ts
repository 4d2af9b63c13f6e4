import { afterAll, afterEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { restLog } from '../broker/client.ts'
import { EmbeddedLog } from '../broker/embedded.ts'
import { brokerApp } from '../broker/server.ts'

const folder = mkdtempSync(join(tmpdir(), 'shelf-client-'))
const log = new EmbeddedLog({ folder, topics: { raw: { partitions: 3 } } })
const app = brokerApp(log, { username: 'shelf', password: 'p@ss:wörd/1' })
const servers: { stop(closeActive?: boolean): Promise<void> }[] = []

afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop(true))))
afterAll(() => {
  log.close()
  rmSync(folder, { recursive: true })
})

/** The URL of a server of our own, with credentials in it. */
function serve(
  fetch: (request: Request) => Response | Promise<Response>,
  password = 'p@ss:wörd/1',
): string {
  const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch })
  servers.push(server)
  return `http://shelf:${encodeURIComponent(password)}@127.0.0.1:${server.port}`
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no failure',
    (error) => error,
  )
}

test('a log over REST is the same log', async () => {
  const rest = restLog({ url: serve(app.fetch) })
  expect(await rest.topics()).toEqual(await log.topics())
  const appended = await rest.append('raw', [
    { value: 'a', partition: 1 },
    { value: 'b', key: 'foobar', partition: 1 },
    { value: 'c', key: 'foobar' },
  ])
  expect(appended).toMatchObject([
    { topic: 'raw', partition: 1, offset: 0 },
    { topic: 'raw', partition: 1, offset: 1 },
    { topic: 'raw' },
  ])
  const direct = await log.read('raw', 1, 0)
  expect(await rest.read('raw', 1, 0)).toEqual(
    direct.map(({ topic, partition, offset, timestamp, key, value }) => {
      return { topic, partition, offset, timestamp, key, value }
    }),
  )
  for (const at of ['earliest', 'latest', 0, Date.now() + 60_000] as const) {
    expect(await rest.offsetAt('raw', 1, at)).toBe(await log.offsetAt('raw', 1, at))
  }
  expect(await rest.append('raw', [])).toEqual([])
  expect(await rest.read('raw', 2, 99)).toEqual([])
})

test('a read gives no more records than are wanted', async () => {
  const { partition = 0, offset = 0 } =
    (await log.append('raw', [{ value: 'x', partition: 0 }]))[0] ?? {}
  await log.append('raw', [
    { value: 'y', partition },
    { value: 'z', partition },
  ])
  for (const asked of [log, restLog({ url: serve(app.fetch) })]) {
    const wanted = async (recordsMax?: number) =>
      (await asked.read('raw', partition, offset, { ...(recordsMax && { recordsMax }) })).map(
        ({ value }) => value,
      )
    expect(await wanted(1)).toEqual(['x'])
    expect(await wanted(2)).toEqual(['x', 'y'])
    expect(await wanted()).toEqual(['x', 'y', 'z'])
  }
})

test('a waiting read is answered when its record comes', async () => {
  const rest = restLog({ url: serve(app.fetch) })
  const offset = await rest.offsetAt('raw', 2, 'latest')
  const waiting = rest.read('raw', 2, offset, { waitMs: 20_000 })
  await rest.append('raw', [{ value: 'now', partition: 2 }])
  expect(await waiting).toMatchObject([{ value: 'now', offset }])
})

test('an aborted read throws the reason of its signal, and the server stops waiting', async () => {
  let ended = Promise.resolve()
  const url = serve((request) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    ended = promise
    request.signal.addEventListener('abort', () => resolve())
    started.resolve()
    return app.fetch(request)
  })
  const started = Promise.withResolvers<void>()
  const controller = new AbortController()
  const { signal } = controller
  const waiting = failure(restLog({ url }).read('raw', 0, 999, { waitMs: 20_000, signal }))
  await started.promise
  const reason = new Error('enough')
  controller.abort(reason)
  expect(await waiting).toBe(reason)
  await ended
  expect(await failure(restLog({ url }).read('raw', 0, 0, { signal }))).toBe(reason)
})

test('what the server refuses keeps its code, and is not tried again', async () => {
  let requests = 0
  const url = serve((request) => {
    requests++
    return app.fetch(request)
  })
  const rest = restLog({ url })
  expect(await failure(rest.read('nope', 0, 0))).toMatchObject({
    name: 'LogError',
    code: 'not-found',
    status: 404,
    retryable: false,
    message: 'there is no topic nope',
  })
  const wrong = restLog({ url: url.replace(/:[^:]*@/, ':wrong@') })
  expect(await failure(wrong.topics())).toMatchObject({ code: 'unauthorized', status: 401 })
  expect(await failure(rest.append('raw', [{ value: 'x'.repeat(1_100_000) }]))).toMatchObject({
    code: 'too-large',
  })
  expect(requests).toBe(3)
})

test('a read outlives a server that fails for a moment', async () => {
  let requests = 0
  const url = serve((request) => {
    requests++
    if (requests === 1) return Response.json({ error: 'no', status: 503 }, { status: 503 })
    if (requests === 2) return new Response('<html>', { status: 502 })
    return app.fetch(request)
  })
  expect(await restLog({ url }).topics()).toEqual({ raw: 3 })
  expect(requests).toBe(3)
})

test('a read that nobody answers fails as unreachable, for the caller to try later', async () => {
  const url = serve(app.fetch)
  await Promise.all(servers.splice(0).map((server) => server.stop(true)))
  expect(await failure(restLog({ url }).topics())).toMatchObject({
    code: 'unreachable',
    retryable: true,
  })
}, 15_000)

test('an append is sent once, whatever becomes of it', async () => {
  let requests = 0
  const full = { error: 'the disk is full', status: 507 }
  const answers = [
    () => Response.json(full, { status: 507 }),
    () => Response.json({ error: 'queue', status: 503 }, { status: 503 }),
    () => new Response('[]'),
    () => new Response('not JSON'),
    () => new Promise<Response>(() => {}),
  ]
  const url = serve(() => answers[requests++]?.() ?? new Response('[]'))
  const rest = restLog({ url, answerMs: 100 })
  const append = () => failure(rest.append('raw', [{ value: 'a' }]))
  expect(await append()).toMatchObject({
    code: 'disk',
    status: 507,
    retryable: true,
    message: full.error,
  })
  expect(await append()).toMatchObject({ code: 'unavailable', retryable: true })
  expect(await append()).toMatchObject({ code: 'failed', retryable: true })
  expect(await append()).toMatchObject({ code: 'failed', retryable: true })
  expect(await append()).toMatchObject({ code: 'timeout', retryable: true })
  expect(requests).toBe(5)
})

test('what is no URL of a log says what one looks like', () => {
  for (const url of ['', 'localhost', 'postgres://a:b@c']) {
    expect(() => restLog({ url })).toThrow('http://user:password@host:port')
  }
})
