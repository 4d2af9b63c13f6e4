/** The Worker as it is deployed: its settings, its size, and that Cloudflare's tool takes it. */
import { afterAll, afterEach, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Miniflare } from 'miniflare'
import { r2BucketSchema, r2Spool } from '../edge/spool/r2.ts'
import worker from '../edge/worker.ts'
import { APP, authorization, body, request, startEdge, TEST_MS_MAX } from './edge.ts'
import { until } from './stack.ts'

setDefaultTimeout(TEST_MS_MAX)

/** Zod's translations alone were 570 KB more; and a Worker starts as fast as it is small. */
const WORKER_BYTES_MAX = 400_000

const ROOT = join(import.meta.dir, '..')

const edge = await startEdge()
afterAll(() => edge.stop())

const errors = spyOn(console, 'error').mockImplementation(() => {})
afterEach(() => errors.mockClear())
afterAll(() => errors.mockRestore())

const key = Buffer.alloc(32, 1).toString('base64url')
const SOUND = { SHELF_LOG: 'http://shelf:test@127.0.0.1:1', SHELF_DRAIN_KEYS: `k1:${key}` }

const CONTEXT = { waitUntil: () => {} }

const unsound: [string, object, string][] = [
  ['no settings', {}, 'SHELF_LOG'],
  ['no keys', { SHELF_LOG: SOUND.SHELF_LOG }, 'SHELF_DRAIN_KEYS'],
  ['no log', { SHELF_DRAIN_KEYS: SOUND.SHELF_DRAIN_KEYS }, 'SHELF_LOG'],
  ['empty keys', { ...SOUND, SHELF_DRAIN_KEYS: '' }, 'SHELF_DRAIN_KEYS'],
  ['a key without a name', { ...SOUND, SHELF_DRAIN_KEYS: key }, 'SHELF_DRAIN_KEYS'],
  ['a short key', { ...SOUND, SHELF_DRAIN_KEYS: `k1:${key.slice(4)}` }, 'SHELF_DRAIN_KEYS'],
  ['a key that is no base64', { ...SOUND, SHELF_DRAIN_KEYS: `k1:${key}AA` }, 'SHELF_DRAIN_KEYS'],
  ['three keys', { ...SOUND, SHELF_DRAIN_KEYS: `a:${key},b:${key},c:${key}` }, 'SHELF_DRAIN_KEYS'],
  ['a log that is no URL', { ...SOUND, SHELF_LOG: 'localhost' }, 'SHELF_LOG'],
  ['a log of another protocol', { ...SOUND, SHELF_LOG: 'kafka://u:hush@h' }, 'SHELF_LOG'],
  ['a log without credentials', { ...SOUND, SHELF_LOG: 'http://127.0.0.1' }, 'SHELF_LOG'],
  ['a log’s password not encoded', { ...SOUND, SHELF_LOG: 'http://u:hush%@h' }, 'SHELF_LOG'],
]

test.each(unsound)(
  '%s: every request is answered 503, and what is wrong is said',
  async (_, settings, name) => {
    const response = await worker.fetch(new Request('http://edge/healthz'), settings, CONTEXT)
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({ error: 'the edge is not configured', status: 503 })
    const said = errors.mock.calls.flat().join('\n')
    expect(said).toContain(name)
    expect(said).not.toContain('hush')
    expect(said).not.toContain(key.slice(4))
  },
)

test('a Worker without keys gets its drains again as soon as it has them', async () => {
  await edge.configure({ SHELF_DRAIN_KEYS: '' })
  const { status, text, records } = await edge.post(body(request()))
  expect([status, records]).toEqual([503, []])
  expect(JSON.parse(text)).toEqual({ error: 'the edge is not configured', status: 503 })
  await edge.configure({})
  expect((await edge.post(body(request()))).status).toBe(204)
})

test('drains its bucket each minute, and as soon as a request finds the log back', async () => {
  const miniflare = new Miniflare({
    modules: true,
    script: 'export default { fetch: () => new Response() }',
    r2Buckets: ['SHELF_SPOOL'],
  })
  try {
    const bucket = r2BucketSchema.parse(await miniflare.getR2Bucket('SHELF_SPOOL'))
    const env = { ...edge.bindings, SHELF_SPOOL: bucket }
    const later: Promise<unknown>[] = []
    const post = async (): Promise<number> => {
      const headers = {
        authorization: await authorization(APP),
        'content-type': 'application/logplex-1',
      }
      const url = 'http://edge/drains/heroku'
      const asked = new Request(url, { method: 'POST', headers, body: body(request()) })
      const response = await worker.fetch(asked, env, { waitUntil: (work) => later.push(work) })
      return response.status
    }
    const landed = async (): Promise<number> => (await edge.landed()).length
    const before = await landed()

    await edge.brokerDown()
    expect(await Promise.all([post(), post(), post(), post()])).toEqual([204, 204, 204, 204])
    expect([await landed(), later.length]).toEqual([before, 0])
    edge.brokerUp()
    // One request a second asks the log.
    await until('a request to find it', async () => (await post()) === 204 && later.length > 0)
    const found = await landed()
    await Promise.all(later)
    expect(later).toHaveLength(1)
    expect(await landed()).toBeGreaterThanOrEqual(before + 5)
    expect(await landed()).toBeGreaterThan(found)
    expect((await r2Spool(bucket).list(10)).length).toBe(0)

    const [record] = await edge.landed()
    await r2Spool(bucket).put('of another isolate', Buffer.from(`${record?.value}`, 'base64'))
    const now = await landed()
    await worker.scheduled({}, env)
    expect(await landed()).toBe(now + 1)
  } finally {
    await miniflare.dispose()
  }
})

test('wrangler deploys it as it is', async () => {
  const outdir = mkdtempSync(join(tmpdir(), 'shelf-worker-'))
  try {
    const wrangler = Bun.spawn(
      [
        ...[process.execPath, '--bun', join(ROOT, 'node_modules/.bin/wrangler')],
        ...['deploy', '--dry-run', '--outdir', outdir],
      ],
      {
        cwd: ROOT,
        env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'pipe',
      },
    )
    const pipes = [wrangler.stdout, wrangler.stderr]
    const said = (await Promise.all(pipes.map((pipe) => new Response(pipe).text()))).join('\n')
    const exitCode = await wrangler.exited
    expect([exitCode, exitCode === 0 ? '' : said]).toEqual([0, ''])
    expect(statSync(join(outdir, 'worker.js')).size).toBeLessThan(WORKER_BYTES_MAX)
  } finally {
    rmSync(outdir, { recursive: true })
  }
})
