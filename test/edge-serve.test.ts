/** The edge as a process, in Bun and in Deno: its settings, its words, its end, a full disk. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { drainKeysToText } from '../core/credential.ts'
import { APP, authorization, body, KEY, postDrain, request } from './edge.ts'
import { type EdgeProcess, spawnEdge, startProcess } from './edge-runtimes.ts'
import { until } from './stack.ts'

setDefaultTimeout(60_000)

const good = body(request())
const folder = (): string => mkdtempSync(join(tmpdir(), 'shelf-serve-'))

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** The files that wait in a spool. */
const waiting = (dir: string): string[] =>
  readdirSync(join(dir, 'spool'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)

const KEYS = drainKeysToText([KEY])
/** Nobody listens on port 1. */
const SOUND = { SHELF_LOG: 'http://shelf:hush@127.0.0.1:1', SHELF_DRAIN_KEYS: KEYS }

const UNSOUND: [string, Record<string, string>, string][] = [
  ['no log', { SHELF_LOG: '' }, 'SHELF_LOG'],
  ['a log that is no URL', { SHELF_LOG: 'hush' }, 'SHELF_LOG'],
  ['a log without credentials', { SHELF_LOG: 'http://hush.example' }, 'SHELF_LOG'],
  ['another dialect', { SHELF_LOG_DIALECT: 'kafka' }, 'SHELF_LOG_DIALECT'],
  ['no keys', { SHELF_DRAIN_KEYS: '' }, 'SHELF_DRAIN_KEYS'],
  ['a short key', { SHELF_DRAIN_KEYS: 'k1:hush' }, 'SHELF_DRAIN_KEYS'],
  ['a rate of 0', { SHELF_DRAIN_RATE: '0' }, 'SHELF_DRAIN_RATE'],
  ['a rate that is none', { SHELF_DRAIN_RATE: 'fast' }, 'SHELF_DRAIN_RATE'],
  ['a port that is none', { SHELF_EDGE_PORT: 'http' }, 'SHELF_EDGE_PORT'],
  ['a spool too small', { SHELF_SPOOL_BYTES_MAX: '10' }, 'SHELF_SPOOL_BYTES_MAX'],
]

test.concurrent.each(UNSOUND)(
  '%s: one line that names the setting, and no secret, and exit 2',
  async (_, settings, name) => {
    const child = spawnEdge('bun', { ...SOUND, SHELF_EDGE_PORT: '0', ...settings })
    expect(await child.exited).toBe(2)
    const said = await new Response(child.stderr).text()
    expect(said).toStartWith(`edge: ${name}: `)
    expect(said.trim().split('\n')).toHaveLength(1)
    expect(said).not.toContain('hush')
    expect(said).not.toContain(KEY.key)
  },
)

describe.each(['bun', 'deno'] as const)('in %s,', (runtime) => {
  const start = async (
    settings: Record<string, string> = {},
    spoolDir?: string,
    shell?: string,
  ): Promise<EdgeProcess> => {
    const edge = await startProcess(runtime, { ...SOUND, ...settings }, spoolDir, '0', shell)
    cleanups.push(() => edge.stop('SIGKILL'))
    return edge
  }

  const newFolder = (): string => {
    const made = folder()
    cleanups.push(() => rmSync(made, { recursive: true, force: true }))
    return made
  }

  test('it says where it is, and whether there is a spool', async () => {
    const dir = newFolder()
    expect((await start({}, dir)).words()).toMatch(
      new RegExp(`^edge: ready at http://127.0.0.1:\\d+, spool in ${dir}\n$`),
    )
    expect((await start()).words()).toMatch(/^edge: no spool: .*SHELF_SPOOL_DIR.*\nedge: ready at /)
  })

  test('a port in use, and a spool that can’t be, are one line and exit 1', async () => {
    const { url } = await start()
    const taken = spawnEdge(runtime, { ...SOUND, SHELF_EDGE_PORT: new URL(url).port })
    expect(await taken.exited).toBe(1)
    expect(await new Response(taken.stderr).text()).toMatch(/edge: can't listen on .*\n$/)
    const settings = { ...SOUND, SHELF_EDGE_PORT: '0', SHELF_SPOOL_DIR: '/dev/null/spool' }
    const child = spawnEdge(runtime, settings)
    expect(await child.exited).toBe(1)
    expect(await new Response(child.stderr).text()).toMatch(/^edge: SHELF_SPOOL_DIR can't .*\n$/)
  })

  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s answers what is in flight, takes no more, and exits 0',
    async (signal) => {
      const asked = Promise.withResolvers<void>()
      const go = Promise.withResolvers<void>()
      const log = Bun.serve({
        hostname: '127.0.0.1',
        port: 0,
        async fetch() {
          asked.resolve()
          await go.promise
          return Response.json([{ offset: 0 }])
        },
      })
      cleanups.push(() => log.stop(true))
      const edge = await start({ SHELF_LOG: `http://shelf:hush@127.0.0.1:${log.port}` })
      const posting = postDrain(edge.url, good)
      await asked.promise
      const stopped = edge.stop(signal)
      await until('it to take no more', () =>
        fetch(`${edge.url}/healthz`).then(
          () => false,
          () => true,
        ),
      )
      go.resolve()
      expect((await posting).status).toBe(204)
      expect(await stopped).toBe(0)
    },
  )

  test('a sender that hangs up in mid-body is no fault of ours: not a word of it', async () => {
    const edge = await start({}, newFolder())
    const { hostname, port } = new URL(edge.url)
    const socket = connect(Number(port), hostname)
    const head = [
      'POST /drains/heroku HTTP/1.1',
      `Host: ${hostname}`,
      `Authorization: ${await authorization(APP)}`,
      'Content-Type: application/logplex-1',
      'Content-Length: 1000',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n1`)
    // Nothing tells that the head was read but time: a request behind it has been, too.
    for (let i = 0; i < 5; i++) await (await fetch(`${edge.url}/healthz`)).text()
    socket.destroy()
    for (let i = 0; i < 5; i++) await (await fetch(`${edge.url}/healthz`)).text()
    await edge.stop()
    expect(edge.words()).toMatch(/^edge: ready at .*\n$/)
  })

  test('it stops at once where nothing is in flight, whoever is still connected', async () => {
    const edge = await start({}, newFolder())
    await (await fetch(`${edge.url}/healthz`)).text()
    const startMs = performance.now()
    expect(await edge.stop()).toBe(0)
    expect(performance.now() - startMs).toBeLessThan(2000)
  })

  test.skipIf(Bun.which('prlimit') === null)(
    'a disk that is full: 503, no half file, and 204 again when there is space',
    async () => {
      const dir = newFolder()
      // The OS refuses each byte that is written to a file, as a full disk does.
      const edge = await start({}, dir, "trap '' XFSZ; ulimit -S -f 0")
      const status = async (): Promise<number> => (await postDrain(edge.url, good)).status
      expect(await Promise.all([status(), status(), status()])).toEqual([503, 503, 503])
      expect(await status()).toBe(503)
      expect(readdirSync(join(dir, 'new'))).toEqual([])
      expect(waiting(dir)).toEqual([])
      const lifted = Bun.spawnSync(['prlimit', '--pid', `${edge.pid}`, '--fsize=unlimited'])
      expect(lifted.exitCode).toBe(0)
      expect(await status()).toBe(204)
      expect(waiting(dir)).toHaveLength(1)
    },
  )

  test('a folder that is full of bursts is answered 503, with a line that says so', async () => {
    const dir = newFolder()
    const edge = await start({ SHELF_SPOOL_BYTES_MAX: '1000000' }, dir)
    const statuses = await Promise.all(
      Array.from({ length: 250 }, async (_, i) => {
        const headers = { 'logplex-frame-id': `F${i}` }
        return (await postDrain(edge.url, good, { headers })).status
      }),
    )
    // A million bytes are 244 blocks of a disk.
    expect(statuses.filter((status) => status === 204)).toHaveLength(244)
    expect(statuses.filter((status) => status === 503)).toHaveLength(6)
    expect(edge.words()).toContain('the spool is full')
  })
})
