/** The spool itself: what waits in it gets into the log, in order, within limits, and is kept until. */
import { afterAll, afterEach, beforeEach, describe, expect, spyOn, test } from 'bun:test'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Miniflare } from 'miniflare'
import { ABSENT, decodeBurst, encodeBurst, requestColumns } from '../core/burst.ts'
import type { Outcome, Sink, SinkRecord } from '../edge/sinks/sink.ts'
import { drainSpool } from '../edge/spool/drain.ts'
import { folderSpool } from '../edge/spool/folder.ts'
import { type R2Bucket, r2BucketSchema, r2Spool } from '../edge/spool/r2.ts'
import { type Spool, spoolName } from '../edge/spool/spool.ts'
import { emptyBurst } from './bursts.ts'

const LIMITS = { objectsMax: 1000, msMax: 30_000 }
const FOLDER_BYTES_MAX = 100_000_000

const errors = spyOn(console, 'error').mockImplementation(() => {})
afterEach(() => errors.mockClear())
afterAll(() => errors.mockRestore())

const folder = mkdtempSync(join(tmpdir(), 'shelf-spool-'))
const miniflare = new Miniflare({
  modules: true,
  script: 'export default { fetch: () => new Response() }',
  r2Buckets: { SPOOL: 'spool' },
})
afterAll(async () => {
  await miniflare.dispose()
  rmSync(folder, { recursive: true })
})

let folders = 0
let buckets = 0
const newFolder = (): string => join(folder, String(folders++))

/** A bucket of its own for each test: the one that there is, under a prefix. */
async function newBucket(): Promise<R2Bucket> {
  const prefix = `${buckets++}/`
  const bucket = r2BucketSchema.parse(await miniflare.getR2Bucket('SPOOL'))
  return {
    async put(key, value) {
      const bytes = await bytesOf(value)
      return await again(() => bucket.put(prefix + key, bytes))
    },
    async get(key) {
      const object = await again(() => bucket.get(prefix + key))
      if (object === null) return null
      // From out here Miniflare has no streams: what a Worker does with one is tested in one.
      const bytes = await object.arrayBuffer()
      const body = new Blob([bytes]).stream()
      return { size: object.size, body, arrayBuffer: async () => bytes }
    },
    delete: (keys) => again(() => bucket.delete(keys.map((key) => prefix + key))),
    async list(options) {
      const page = await again(() => bucket.list({ ...options, prefix: prefix + options.prefix }))
      return {
        ...page,
        objects: page.objects.map(({ key }) => ({ key: key.slice(prefix.length) })),
      }
    },
  }
}

/** Miniflare's own connection to it may be one that is just being closed: that is not R2's. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ECONNRESET') return work()
    throw error
  }
}

async function bytesOf(value: Uint8Array<ArrayBuffer> | ReadableStream) {
  return value instanceof Uint8Array ? value : await new Response(value).bytes()
}

const SPOOLS: [string, () => Promise<Spool>][] = [
  ['a folder', () => folderSpool(newFolder(), FOLDER_BYTES_MAX)],
  ['a bucket of R2', async () => r2Spool(await newBucket())],
]

const TIME_MS = Date.parse('2026-11-22T08:00:00.000Z')

/** The `number`th burst, a millisecond after the one before it; its app is its number. */
function burst(number: number, bytes = 0) {
  // A row of these takes 12 bytes.
  const requests = requestColumns(Math.floor(bytes / 12))
  for (const column of [requests.timeMs, requests.bytes]) column.fill(2 ** 40, 1)
  requests.code.fill(ABSENT)
  if (bytes > 0) requests.processes = ['web']
  const made = {
    ...emptyBurst,
    id: number.toString(16).padStart(32, '0'),
    app: String(number),
    receivedAtMs: TIME_MS + number,
    requests,
  }
  return { name: spoolName(made), value: encodeBurst(made) }
}

async function fill(spool: Spool, numbers: number[], bytes = 0): Promise<void> {
  // Miniflare breaks under hundreds at once.
  for (let at = 0; at < numbers.length; at += 20) {
    const made = numbers.slice(at, at + 20).map((number) => burst(number, bytes))
    await Promise.all(made.map(({ name, value }) => spool.put(name, value)))
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

/** A log that tells what it got, batch by batch; `outcomeOf` says what becomes of a record. */
function logOf(outcomeOf: (record: SinkRecord) => Outcome = () => 'ok') {
  const got: SinkRecord[][] = []
  const sink: Sink = {
    async produce(_, records) {
      got.push([...records])
      return records.map(outcomeOf)
    },
  }
  const keys = (): string[] => got.flat().map(({ key }) => key)
  return { sink, got, keys }
}

describe.each(SPOOLS)('%s', (_, newSpool) => {
  let spool: Spool
  beforeEach(async () => {
    spool = await newSpool()
  })

  test('gives back what was put, oldest first, and forgets what was deleted', async () => {
    await fill(spool, [3, 1, 2, 11])
    expect(await spool.list(3)).toEqual([1, 2, 3].map((n) => burst(n).name))
    expect(await spool.get(burst(2).name)).toEqual(burst(2).value)
    await spool.delete([burst(2).name, burst(99).name])
    expect(await spool.get(burst(2).name)).toBeUndefined()
    expect(await spool.list(100)).toEqual([1, 3, 11].map((n) => burst(n).name))
  })

  test('is drained into the log, oldest first, whole, each burst under its app', async () => {
    await fill(spool, upTo(130).toReversed())
    const { sink, got, keys } = logOf()
    const drained = await drainSpool(spool, sink, LIMITS)
    expect(drained).toEqual({ produced: 130, rejected: 0, isLogDown: false, isEmpty: true })
    expect(keys()).toEqual(upTo(130).map(String))
    expect(got.flat().map(({ value }) => value)).toEqual(upTo(130).map((n) => burst(n).value))
    expect(await spool.list(10)).toEqual([])
  })

  test('a run takes as much as it may, the next goes on', async () => {
    await fill(spool, upTo(25))
    const { sink, keys } = logOf()
    const some = { ...LIMITS, objectsMax: 10 }
    expect(await drainSpool(spool, sink, some)).toMatchObject({ produced: 10, isEmpty: false })
    expect(await drainSpool(spool, sink, some)).toMatchObject({ produced: 10, isEmpty: false })
    expect(await drainSpool(spool, sink, some)).toMatchObject({ produced: 5, isEmpty: true })
    expect(keys()).toEqual(upTo(25).map(String))
  })

  test('a produce takes at most 700 kB, or one burst that is larger', async () => {
    await fill(spool, upTo(5), 300_000)
    await fill(spool, [5, 6], 760_000)
    const { sink, got } = logOf()
    await drainSpool(spool, sink, LIMITS)
    expect(got.map((batch) => batch.length)).toEqual([2, 2, 1, 1, 1])
  })

  test('keeps just what the log does not take, and goes on to the next batch', async () => {
    // Two in a batch.
    await fill(spool, upTo(6), 300_000)
    const { sink, keys } = logOf(({ key }) => (Number(key) < 3 ? 'retry' : 'ok'))
    expect(await drainSpool(spool, sink, LIMITS)).toEqual({
      ...{ produced: 3, rejected: 0, isLogDown: false, isEmpty: true },
    })
    expect(keys()).toEqual(upTo(6).map(String))
    expect(await spool.list(1000)).toEqual(upTo(3).map((n) => burst(n).name))
  })

  test('stops at the second batch in a row of which the log takes nothing', async () => {
    await fill(spool, upTo(9), 300_000)
    const { sink, got } = logOf(({ key }) => (key === '3' ? 'ok' : 'retry'))
    expect(await drainSpool(spool, sink, LIMITS)).toEqual({
      ...{ produced: 1, rejected: 0, isLogDown: true, isEmpty: false },
    })
    expect(got).toHaveLength(4)
    expect(await spool.list(1000)).toHaveLength(8)
  })

  test('a burst too large for its topic, of which the log says no such thing, holds up nothing', async () => {
    await fill(spool, [0], 760_000)
    await fill(spool, upTo(21).slice(1))
    const { sink } = logOf(({ key }) => (key === '0' ? 'retry' : 'ok'))
    for (const produced of [20, 0]) {
      expect(await drainSpool(spool, sink, LIMITS)).toMatchObject({ produced, isLogDown: false })
      expect(await spool.list(10)).toEqual([burst(0).name])
    }
  })

  test('what is too large for a burst is moved aside, and never held in memory', async () => {
    await spool.put('0-large', new Uint8Array(1_100_000))
    await fill(spool, [1])
    expect(await spool.get('0-large')).toBe('too-large')
    expect(await drainSpool(spool, logOf().sink, LIMITS)).toMatchObject({
      ...{ produced: 1, rejected: 1 },
    })
    expect(await spool.list(10)).toEqual([])
  })

  test('what can’t be read, or can’t be moved, stays with a line, and holds up nothing', async () => {
    await fill(spool, upTo(3))
    await spool.put('0-none', new Uint8Array(1))
    const broken = (): Promise<never> => Promise.reject(new Error('no way'))
    const stuck: Spool = {
      ...spool,
      get: (name) => (name === burst(1).name ? broken() : spool.get(name)),
      reject: broken,
    }
    expect(await drainSpool(stuck, logOf().sink, LIMITS)).toMatchObject({
      ...{ produced: 2, rejected: 0, isEmpty: true },
    })
    expect(await spool.list(10)).toEqual(['0-none', burst(1).name])
    const said = errors.mock.calls.flat().join('\n')
    expect(said).toContain(
      `${burst(1).name} of the spool can't be read, and stays there: Error: no`,
    )
    expect(said).toContain('0-none stays in spool/ though it is no burst: Error: no way')
  })

  test('what the log will never take, and what is no burst, is moved aside, and a line says so', async () => {
    await fill(spool, upTo(5))
    await spool.put(`${burst(2).name}x`, new Uint8Array([99, 1, 2]))
    const { sink, keys } = logOf(({ key }) => (key === '3' ? 'reject' : 'ok'))
    expect(await drainSpool(spool, sink, LIMITS)).toEqual({
      ...{ produced: 4, rejected: 2, isLogDown: false, isEmpty: true },
    })
    expect(keys()).toEqual(upTo(5).map(String))
    expect(await spool.list(10)).toEqual([])
    const said = errors.mock.calls.flat().join('\n')
    expect(said).toContain(`${burst(2).name}x was moved from spool/ to rejected/: it is no burst`)
    expect(said).toContain(`${burst(3).name} was moved from spool/ to rejected/: the log will not`)
  })

  test('two drains at a time bring each burst at least once, and neither fails', async () => {
    await fill(spool, upTo(120))
    const { sink, keys } = logOf()
    await Promise.all([drainSpool(spool, sink, LIMITS), drainSpool(spool, sink, LIMITS)])
    expect(new Set(keys())).toEqual(new Set(upTo(120).map(String)))
    expect(await spool.list(10)).toEqual([])
  })

  test('a run that is stopped, or out of time, brings what it has read, and ends', async () => {
    await fill(spool, upTo(20))
    const { sink, got } = logOf()
    const signal = AbortSignal.abort()
    expect(await drainSpool(spool, sink, { ...LIMITS, signal })).toMatchObject({ produced: 4 })
    expect(await drainSpool(spool, sink, { ...LIMITS, msMax: -1 })).toMatchObject({ produced: 4 })
    expect(got).toHaveLength(2)
    expect(await spool.list(1000)).toHaveLength(12)
  })
})

test('a list of a bucket goes on where one page ends', async () => {
  const names = upTo(2500).map((n) => burst(n).name)
  const keys = names.map((name) => ({ key: `spool/${name}` }))
  const spool = r2Spool({
    ...(await newBucket()),
    async list({ limit, cursor = '0' }) {
      const next = Number(cursor) + limit
      const objects = keys.slice(Number(cursor), next)
      return { objects, truncated: next < keys.length, cursor: String(next) }
    },
  })
  expect(await spool.list(2300)).toEqual(names.slice(0, 2300))
  expect(await spool.list(9999)).toEqual(names)
})

test('in a Worker, what is rejected passes through it, however large', async () => {
  const at = newFolder()
  mkdirSync(at)
  writeFileSync(
    join(at, 'worker.ts'),
    `import { r2Spool } from '${join(import.meta.dir, '../edge/spool/r2.ts')}'
     export default {
       async fetch(_: Request, { SPOOL }) {
         await r2Spool(SPOOL).reject('0-large')
         const { size } = await SPOOL.head('rejected/0-large')
         return Response.json([size, await SPOOL.head('spool/0-large')])
       },
     }`,
  )
  const built = await Bun.build({ entrypoints: [join(at, 'worker.ts')], target: 'browser' })
  const worker = new Miniflare({
    modules: true,
    script: (await built.outputs[0]?.text()) ?? '',
    r2Buckets: ['SPOOL'],
  })
  try {
    const bucket = r2BucketSchema.parse(await worker.getR2Bucket('SPOOL'))
    await bucket.put('spool/0-large', new Uint8Array(3_000_000))
    const response = await worker.dispatchFetch('http://worker/')
    expect(await response.json()).toEqual([3_000_000, null])
  } finally {
    await worker.dispose()
  }
})

describe('a folder', () => {
  test('holds files that have a burst’s bytes, and can be read by us alone', async () => {
    const at = newFolder()
    const spool = await folderSpool(at, FOLDER_BYTES_MAX)
    await fill(spool, [7])
    const name = '20261122T0800/20261122T080000.007Z-00000000000000000000000000000007'
    expect(readdirSync(join(at, 'spool'), { recursive: true }).sort()).toEqual([
      '20261122T0800',
      name,
    ])
    expect(decodeBurst(readFileSync(join(at, 'spool', name))).app).toBe('7')
  })

  test('that is full takes no more, and takes again when there is room: also after a restart', async () => {
    const at = newFolder()
    const bytesMax = 40_960
    const spool = await folderSpool(at, bytesMax)
    await fill(spool, upTo(10))
    await expect(fill(spool, [10])).rejects.toThrow('full')
    await expect(fill(await folderSpool(at, bytesMax), [10])).rejects.toThrow('full')
    expect(readdirSync(join(at, 'spool', '20261122T0800'))).toHaveLength(10)
    await drainSpool(spool, logOf().sink, { ...LIMITS, objectsMax: 4 })
    await fill(spool, [11, 12, 13, 14])
    await expect(fill(spool, [15])).rejects.toThrow('full')
  })

  test('sweeps what a crash left half written, and neither what is whole nor what is being written', async () => {
    const at = newFolder()
    await fill(await folderSpool(at, FOLDER_BYTES_MAX), [1])
    for (const name of ['half', 'another’s'])
      writeFileSync(join(at, 'new', name), new Uint8Array(9))
    const before = Date.now() / 1000 - 61
    utimesSync(join(at, 'new', 'half'), before, before)
    const spool = await folderSpool(at, FOLDER_BYTES_MAX)
    expect(readdirSync(join(at, 'new'))).toEqual(['another’s'])
    expect(await spool.list(10)).toEqual([burst(1).name])
  })

  test('has a folder for each minute, oldest first, and none that is empty', async () => {
    const at = newFolder()
    const spool = await folderSpool(at, FOLDER_BYTES_MAX)
    const minutes = [120_000, 0, 60_000]
    await fill(spool, minutes)
    expect(readdirSync(join(at, 'spool')).sort()).toEqual([
      ...['20261122T0800', '20261122T0801', '20261122T0802'],
    ])
    const oldest = minutes.sort((a, b) => a - b).map((n) => burst(n).name)
    expect(await spool.list(2)).toEqual(oldest.slice(0, 2))
    await spool.delete(oldest.slice(0, 1))
    await spool.reject(oldest[1] ?? '')
    expect(readdirSync(join(at, 'spool'))).toEqual(['20261122T0802'])
    // One that a crash left empty goes, too.
    mkdirSync(join(at, 'spool', '20261122T0700'))
    await spool.list(2)
    expect(readdirSync(join(at, 'spool'))).toEqual(['20261122T0802'])
  })

  test('loses nothing of a minute that is emptied again and again while it is filled', async () => {
    const spool = await folderSpool(newFolder(), FOLDER_BYTES_MAX)
    const { sink, keys } = logOf()
    const filling = fill(spool, upTo(200))
    while ((await Promise.race([filling.then(() => 'filled'), Bun.sleep(0)])) !== 'filled') {
      await drainSpool(spool, sink, LIMITS)
    }
    await drainSpool(spool, sink, LIMITS)
    expect(keys().sort()).toEqual(upTo(200).map(String).sort())
  })

  test('two spools on it start, fill and drain it at once, and nothing is lost', async () => {
    const at = newFolder()
    const first = await folderSpool(at, FOLDER_BYTES_MAX)
    await fill(first, upTo(300))
    const { sink, keys } = logOf()
    const filling = fill(first, [300, 301])
    const draining = drainSpool(first, sink, LIMITS)
    // Files go while it looks how large they are.
    for (let starts = 0; starts < 8; starts++) await folderSpool(at, FOLDER_BYTES_MAX)
    await Promise.all([filling, draining])
    await drainSpool(await folderSpool(at, FOLDER_BYTES_MAX), sink, LIMITS)
    expect(errors).not.toHaveBeenCalled()
    expect(new Set(keys())).toEqual(new Set(upTo(302).map(String)))
  })

  test('takes what an operator puts back, without a minute’s folder', async () => {
    const at = newFolder()
    const spool = await folderSpool(at, FOLDER_BYTES_MAX)
    writeFileSync(join(at, 'spool', '20261122T080000.001Z-back'), burst(1).value)
    const { sink, keys } = logOf()
    await drainSpool(spool, sink, LIMITS)
    expect([keys(), await spool.list(1)]).toEqual([['1'], []])
  })

  test('with a file of 5 GB in it is drained all the same', async () => {
    const at = newFolder()
    const spool = await folderSpool(at, 1e12)
    writeFileSync(join(at, 'spool', '0-backup'), '')
    truncateSync(join(at, 'spool', '0-backup'), 5e9)
    await fill(spool, [1])
    const { sink, keys } = logOf()
    expect(await drainSpool(spool, sink, LIMITS)).toMatchObject({ produced: 1, rejected: 1 })
    expect([keys(), readdirSync(join(at, 'rejected'))]).toEqual([['1'], ['0-backup']])
  })

  test('that an operator put a folder into is drained all the same', async () => {
    const at = newFolder()
    const spool = await folderSpool(at, FOLDER_BYTES_MAX)
    mkdirSync(join(at, 'spool', '0-notes'))
    await fill(spool, [1])
    const { sink, keys } = logOf()
    await drainSpool(spool, sink, LIMITS)
    expect(keys()).toEqual(['1'])
  })

  test('that can’t be read fails the run, and nothing is lost', async () => {
    const at = newFolder()
    const spool = await folderSpool(at, FOLDER_BYTES_MAX)
    rmSync(join(at, 'spool'), { recursive: true })
    writeFileSync(join(at, 'spool'), '')
    await expect(drainSpool(spool, logOf().sink, LIMITS)).rejects.toThrow()
  })
})
