/** The spool itself: what waits in it gets into the log, in order, within limits, and is kept until. */
import { afterAll, afterEach, beforeEach, describe, expect, spyOn, test } from 'bun:test'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
    put: (key, value) => bucket.put(prefix + key, value),
    get: async (key) => await bucket.get(prefix + key),
    delete: (keys) => bucket.delete(keys.map((key) => prefix + key)),
    async list(options) {
      const page = await bucket.list({ ...options, prefix: prefix + options.prefix })
      return {
        ...page,
        objects: page.objects.map(({ key }) => ({ key: key.slice(prefix.length) })),
      }
    },
  }
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
  const made = numbers.map((number) => burst(number, bytes))
  await Promise.all(made.map(({ name, value }) => spool.put(name, value)))
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

  test('stops at the first batch that the log does not take, and keeps just what it did not', async () => {
    await fill(spool, upTo(150))
    const { sink, got } = logOf(({ key }) => (Number(key) < 50 ? 'ok' : 'retry'))
    expect(await drainSpool(spool, sink, LIMITS)).toMatchObject({ produced: 50, isLogDown: true })
    expect(got).toHaveLength(1)
    expect(await spool.list(1000)).toEqual(
      upTo(150)
        .slice(50)
        .map((n) => burst(n).name),
    )
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

  test('a run that is stopped, or out of time, ends behind its batch', async () => {
    await fill(spool, upTo(250))
    const { sink, got } = logOf()
    const signal = AbortSignal.abort()
    expect(await drainSpool(spool, sink, { ...LIMITS, signal })).toMatchObject({ produced: 100 })
    expect(await drainSpool(spool, sink, { ...LIMITS, msMax: -1 })).toMatchObject({ produced: 100 })
    expect(got).toHaveLength(2)
    expect(await spool.list(1000)).toHaveLength(50)
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

describe('a folder', () => {
  test('holds files that have a burst’s bytes, and can be read by us alone', async () => {
    const at = newFolder()
    const spool = await folderSpool(at, FOLDER_BYTES_MAX)
    await fill(spool, [7])
    const [name = ''] = readdirSync(join(at, 'spool'))
    expect(name).toBe('20261122T080000.007Z-00000000000000000000000000000007')
    expect(decodeBurst(readFileSync(join(at, 'spool', name))).app).toBe('7')
  })

  test('that is full takes no more, and takes again when there is room: also after a restart', async () => {
    const at = newFolder()
    const bytesMax = 40_960
    const spool = await folderSpool(at, bytesMax)
    await fill(spool, upTo(10))
    await expect(fill(spool, [10])).rejects.toThrow('full')
    await expect(fill(await folderSpool(at, bytesMax), [10])).rejects.toThrow('full')
    expect(readdirSync(join(at, 'spool'))).toHaveLength(10)
    await drainSpool(spool, logOf().sink, { ...LIMITS, objectsMax: 4 })
    await fill(spool, [11, 12, 13, 14])
    await expect(fill(spool, [15])).rejects.toThrow('full')
  })

  test('sweeps what a crash left half written, and keeps what was whole', async () => {
    const at = newFolder()
    await fill(await folderSpool(at, FOLDER_BYTES_MAX), [1])
    writeFileSync(join(at, 'new', 'half'), new Uint8Array(9))
    const spool = await folderSpool(at, FOLDER_BYTES_MAX)
    expect(readdirSync(join(at, 'new'))).toEqual([])
    expect(await spool.list(10)).toEqual([burst(1).name])
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
