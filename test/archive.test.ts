/** The archive, in a folder and in a real S3: what is copied, and what is read back. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AggregateWorker } from '../batch/aggregate-worker.ts'
import { ArchiveError, partitionFolder } from '../batch/archive-layout.ts'
import { archiveLog } from '../batch/archive-log.ts'
import { s3Store } from '../batch/archive-s3.ts'
import { archiveSource } from '../batch/archive-source.ts'
import { type ArchiveStore, locateArchive } from '../batch/archive-store.ts'
import { verifyArchive } from '../batch/archive-verify.ts'
import { LogError } from '../broker/error.ts'
import type { LogRecord } from '../broker/log.ts'
import {
  allOf,
  appendHour,
  archived,
  asArchived,
  contentOf,
  HOUR_MS,
  HOURS,
  hourStart,
  logOfHours,
  MINUTE_MS,
  setClock,
  temporaryFolder,
} from './archive-places.ts'
import { rawBurst } from './bursts.ts'
import { ChangingLog } from './changing-log.ts'
import { type S3Server, startS3 } from './s3-server.ts'

const never = new AbortController().signal
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let s3: S3Server
let places = 0
beforeAll(async () => {
  s3 = await startS3()
})
afterAll(() => s3.stop())

function newFolder(): { folder: string; store: ArchiveStore } {
  const { folder, remove } = temporaryFolder()
  cleanups.push(remove)
  return { folder, store: locateArchive({ SHELF_ARCHIVE: folder }) }
}

async function newLog(...args: Parameters<typeof logOfHours>): Promise<ChangingLog> {
  const log = await logOfHours(...args)
  cleanups.push(() => log.close())
  return log
}

async function verified(store: ArchiveStore): Promise<{ wrong: number; words: string[] }> {
  const words: string[] = []
  const { wrong } = await verifyArchive(store, never, (word) => words.push(word))
  return { wrong, words }
}

/** Aggregates partition 0 so far that all that it has is written. */
async function aggregate(log: ChangingLog): Promise<void> {
  const worker = await AggregateWorker.start(log, 0)
  // A tick closes the last chunk.
  log.aheadMs += 5000
  await log.appendRaw('')
  while ((await worker.step(never, 0)) > 0);
}

describe.each([
  ['a folder', () => newFolder().store],
  ['S3', () => locateArchive(s3.env(`a${++places}`))],
])('in %s', (_name, newStore) => {
  test('closed hours are copied, an open one is not, and they read back as they were', async () => {
    const log = await newLog(20, 2)
    const store = newStore()
    for (const partition of [0, 1]) {
      const manifests = await archived(log, store, partition)
      expect(manifests.map(({ hour }) => Date.parse(hour))).toEqual([3, 2, 1].map(hourStart))
      expect(manifests.map(({ records, from }) => [from, records])).toEqual([
        [0, 20],
        [20, 20],
        [40, 20],
      ])
      const back = await allOf(archiveLog(store, 0), partition)
      expect(back).toEqual((await log.all('raw', partition)).slice(0, 60).map(asArchived))
    }
    expect(await archiveLog(store, 0).topics()).toEqual({ raw: 2 })
    expect(await verified(store)).toEqual({ wrong: 0, words: [] })
  })

  test('who runs it again copies only what closed since', async () => {
    const log = await newLog()
    const store = newStore()
    await archived(log, store)
    const before = await contentOf(store)
    expect(await archived(log, store)).toEqual([])
    expect(await contentOf(store)).toEqual(before)
    setClock(log, hourStart(-1) + 1)
    await log.appendRaw('')
    expect((await archived(log, store)).map(({ from }) => from)).toEqual([60])
  })

  test('two at once write the same bytes as one', async () => {
    const log = await newLog(50)
    const [one, two] = [newStore(), newStore()]
    await archived(log, one)
    await Promise.all([archived(log, two), archived(log, two), archived(log, two)])
    expect(await contentOf(two)).toEqual(await contentOf(one))
  })

  test('a file without a manifest does not count, and is written again', async () => {
    const log = await newLog()
    const [one, two] = [newStore(), newStore()]
    await archived(log, one)
    const content = await contentOf(one)
    // As it is after a kill: the file of the second hour, cut short, and nothing behind it.
    for (const [name, hex] of Object.entries(content).slice(0, 3)) {
      const bytes = Uint8Array.fromHex(hex)
      const isCut = name.endsWith('-20.zst')
      await two.put(name, chunk(isCut ? bytes.slice(0, bytes.length / 2) : bytes))
    }
    expect(await archiveLog(two, 0).offsetAt('raw', 0, 'latest')).toBe(20)
    await archived(log, two)
    expect(await contentOf(two)).toEqual(content)
  })

  test('the live log follows behind what is archived, whatever retention deleted', async () => {
    const log = await newLog()
    const store = newStore()
    await archived(log, store)
    const all = await allOf(log)
    for (const deleted of [0, 30, 60]) {
      log.truncate('raw', deleted)
      const joined = archiveLog(store, 0, log)
      expect(await allOf(joined)).toEqual(all)
      expect(await allOf(joined, 0, 33)).toEqual(all.slice(33))
      expect(await joined.offsetAt('raw', 0, 'earliest')).toBe(0)
      expect(await joined.offsetAt('raw', 0, 'latest')).toBe(61)
      expect(await joined.holes(0)).toEqual([])
    }
  })

  test('what lists name in several pages is all found', async () => {
    const store = newStore()
    const folder = partitionFolder(0, 0)
    const names = Array.from({ length: 1050 }, (_, at) => `${folder}${String(at).padStart(5, '0')}`)
    for (let at = 0; at < names.length; at += 50) {
      await Promise.all(
        names.slice(at, at + 50).map((name) => store.put(name, chunk(new Uint8Array(1)))),
      )
    }
    expect(await Array.fromAsync(store.files(folder))).toEqual(names)
    expect(await Array.fromAsync(store.files(folder, names[9]))).toEqual(names.slice(10))
    expect(await store.folders('raw/')).toEqual(['raw/epoch=0/'])
    // The last hour is found behind all of them, also where it is old.
    const log = await newLog()
    await archived(log, store)
    expect(await archived(log, store)).toEqual([])
  })

  test('a file whose source fails is not written', async () => {
    const store = newStore()
    async function* failing() {
      for (let i = 0; i < 12; i++) yield new Uint8Array(1_048_576)
      throw new Error('the source fails')
    }
    await expect(store.put('raw/x', failing())).rejects.toThrow('the source fails')
    await store.put('raw/y', chunk(new Uint8Array(1)))
    expect(await Array.fromAsync(store.files('raw/'))).toEqual(['raw/y'])
    expect(await store.size('raw/x')).toBeUndefined()
  })
})

async function* chunk(bytes: Uint8Array<ArrayBuffer>) {
  yield bytes
}

test('both places get the same bytes', async () => {
  const log = await newLog()
  const folder = newFolder().store
  const store = locateArchive(s3.env(`a${++places}`))
  await archived(log, folder)
  await archived(log, store)
  expect(await contentOf(store)).toEqual(await contentOf(folder))
})

test('a time is found as the log finds it, at the edges of hours and blocks too', async () => {
  const log = await newLog(40)
  const { store } = newFolder()
  await archived(log, store)
  const joined = archiveLog(store, 0, log)
  const records = await log.all('raw')
  const times = records.flatMap(({ timestamp }) => [timestamp - 1, timestamp, timestamp + 1])
  for (const time of [0, hourStart(HOURS), hourStart(2) - 1, ...times, Date.now() + HOUR_MS]) {
    expect(await joined.offsetAt('raw', 0, time)).toBe(await log.offsetAt('raw', 0, time))
  }
})

test('a large hour is cut into blocks, and each offset and time is found in them', async () => {
  const log = new ChangingLog()
  cleanups.push(() => log.close())
  const noise = (at: number) => Buffer.alloc(700_000, at).toString('base64')
  for (let at = 0; at < 30; at++) {
    setClock(log, hourStart(1) + at * MINUTE_MS)
    await log.appendRaw(noise(at))
  }
  setClock(log, hourStart(0))
  await log.appendRaw('')
  const { store } = newFolder()
  const [manifest] = await archived(log, store)
  expect(manifest?.blocks.length).toBeGreaterThan(4)
  const archive = archiveLog(store, 0)
  for (const { offset, timestamp } of await log.all('raw')) {
    if (offset === 30) continue
    expect((await archive.read('raw', 0, offset))[0]?.offset).toBe(offset)
    expect(await archive.offsetAt('raw', 0, timestamp)).toBe(offset)
  }
  expect(await allOf(archive)).toEqual((await log.all('raw')).slice(0, 30).map(asArchived))
})

test('what was deleted before it was archived is said, in the manifest and by holes', async () => {
  const log = await newLog()
  const { store } = newFolder()
  log.truncate('raw', 5)
  const [first] = await archived(log, store)
  expect(first?.missing).toEqual({ from: 0, to: 5 })
  // Archiving stands still for so long that the log goes on behind a hole.
  for (const hour of [-1, -2, -3]) await appendHour(log, hour, 10)
  log.truncate('raw', 73)
  const joined = archiveLog(store, 0, log)
  const [atStart, seam] = await joined.holes(0)
  expect(atStart).toMatchObject({ from: 0, to: 5 })
  expect(seam).toMatchObject({ from: 60, to: 73 })
  expect((await joined.read('raw', 0, 60))[0]?.offset).toBe(73)

  const manifests = await archived(log, store)
  expect(manifests[0]).toMatchObject({ from: 60, missing: { from: 60, to: 73 } })
  expect((await archiveLog(store, 0, log).holes(0)).map(({ from, to }) => [from, to])).toEqual([
    [0, 5],
    [60, 73],
  ])
  const { wrong, words } = await verified(store)
  expect(wrong).toBe(0)
  expect(words.join()).toContain('60 to 72 were deleted')
  // Who had opened it before finds what was archived since.
  log.truncate('raw', 90)
  expect((await joined.read('raw', 0, 75))[0]?.offset).toBe(75)
})

test('records that are deleted while their hour is read leave a hole, and no half hour', async () => {
  const log = await newLog()
  const { store } = newFolder()
  const read = log.read
  // The log deletes behind the first look at the hour: what it gives next begins later.
  log.read = async (...args) => {
    const records = await read(...args)
    if (args[2] === 0 && records.length > 0) {
      log.read = read
      log.truncate('raw', 7)
    }
    return records
  }
  const manifests = await archived(log, store)
  expect(manifests[0]).toMatchObject({ missing: { from: 0, to: 7 }, records: 13 })
  expect(await allOf(archiveLog(store, 0))).toEqual((await allOf(log)).slice(0, 53))
})

test('an hour of a quiet partition is closed by a tick, and ticks alone ask for none', async () => {
  const log = new ChangingLog()
  cleanups.push(() => log.close())
  await appendHour(log, 2, 3)
  setClock(log, hourStart(0) + 1)
  const { store } = newFolder()
  expect((await archived(log, store)).map(({ records }) => records)).toEqual([3])
  expect((await log.all('raw')).map(({ value }) => value.length > 0)).toEqual([
    true,
    true,
    true,
    false,
  ])
  for (let i = 0; i < 3; i++) expect(await archived(log, store)).toEqual([])
  expect((await log.all('raw')).length).toBe(4)
})

test('an hour of ticks alone stays open for a day', async () => {
  const log = new ChangingLog({ aheadMs: -30 * HOUR_MS })
  cleanups.push(() => log.close())
  await appendHour(log, 28, 3)
  setClock(log, hourStart(20))
  await log.appendRaw('')
  setClock(log, hourStart(0))
  const { store } = newFolder()
  expect((await archived(log, store)).map(({ records }) => records)).toEqual([3])
  expect(await archived(log, store)).toEqual([])
  expect((await log.all('raw')).length).toBe(4)
})

test('who comes late, when retention took a part, replaces nothing', async () => {
  const log = await newLog()
  const { store } = newFolder()
  await archived(log, store)
  const before = await contentOf(store)
  // It looked for the end of the archive before there was one.
  const late = { ...store, async *files() {} }
  log.truncate('raw', 5)
  await archived(log, late)
  expect(await contentOf(store)).toMatchObject(before)
  expect((await allOf(archiveLog(store, 0))).length).toBe(20 * HOURS)
  expect(await verified(store)).toEqual({ wrong: 0, words: [] })
})

test('an hour whose log is replaced while it is copied does not count', async () => {
  const log = await newLog()
  const { store } = newFolder()
  const replacing: ArchiveStore = {
    ...store,
    async put(...args) {
      await store.put(...args)
      log.recreate('raw')
    },
  }
  await expect(archived(log, replacing)).rejects.toMatchObject({
    code: 'replaced',
    retryable: true,
  })
  expect(await archiveLog(store, 0).offsetAt('raw', 0, 'latest')).toBe(0)
})

test('a connection that breaks once is no failure, one that stays broken is', async () => {
  const log = await newLog()
  const { store } = newFolder()
  let broken = 1
  const breaking: ArchiveStore = {
    ...store,
    async put(...args) {
      if (broken-- > 0) throw new LogError('unreachable', 'broken')
      await store.put(...args)
    },
  }
  expect((await archived(log, breaking)).length).toBe(HOURS)
  setClock(log, hourStart(-1))
  await log.appendRaw('')
  broken = 2
  await expect(archived(log, breaking)).rejects.toMatchObject({ code: 'unreachable' })
})

test('the end of an archive that nobody wrote to for days is found', async () => {
  const log = new ChangingLog({ aheadMs: -110 * HOUR_MS })
  cleanups.push(() => log.close())
  for (const hour of [100, 99, 98]) await appendHour(log, hour, 5)
  const { store } = newFolder()
  // The last one is closed by a tick.
  setClock(log, hourStart(97))
  expect((await archived(log, store)).length).toBe(3)
  expect(await archived(log, store)).toEqual([])
})

test('a log whose clock is behind ours keeps its hour open', async () => {
  const log = new ChangingLog()
  cleanups.push(() => log.close())
  await appendHour(log, 2, 3)
  // By its own clock the hour is not over: what comes yet is of that hour.
  const { store } = newFolder()
  expect(await archived(log, store)).toEqual([])
  await log.appendRaw(rawBurst({ number: 99, receivedAtMs: log.nowMs }))
  setClock(log, hourStart(1))
  await log.appendRaw('')
  expect((await archived(log, store)).map(({ records }) => records)).toEqual([5])
})

test('a log that was recreated is an epoch of its own, beside the one before', async () => {
  const log = await newLog()
  const { store } = newFolder()
  await aggregate(log)
  await archived(log, store)
  const before = await allOf(log)
  log.recreate('raw')
  setClock(log, hourStart(0))
  await log.appendRaw(rawBurst({ number: 7, receivedAtMs: log.nowMs }))
  // Until the aggregator has said where the epoch begins, nobody else does.
  await expect(archived(log, store)).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  await aggregate(log)
  setClock(log, hourStart(-1))
  await log.appendRaw('')
  const [first] = await archived(log, store)
  expect(first).toMatchObject({ epoch: 1, begin: 0, from: 0 })

  const epochs = await archiveSource(store, log).epochs(0)
  expect(epochs.map(({ epoch }) => epoch.epoch)).toEqual([0, 1])
  const [old, current] = epochs
  expect(await allOf(old?.log ?? log)).toEqual(before.slice(0, 60))
  expect(await allOf(current?.log ?? log)).toEqual(await allOf(log))
})

test('an archive of another log, of which aggregates tells nothing, is left alone', async () => {
  const log = await newLog()
  const { store } = newFolder()
  await archived(log, store)
  const content = await contentOf(store)
  const other = new ChangingLog()
  cleanups.push(() => other.close())
  await appendHour(other, 1, 5)
  setClock(other, hourStart(0))
  await other.appendRaw('')
  await expect(archived(other, store)).rejects.toThrow(/holds epoch 0 of another log/)
  expect(await contentOf(store)).toEqual(content)
})

describe('what was damaged', () => {
  const archiveOf = async () => {
    const { folder, store } = newFolder()
    await archived(await newLog(), store)
    const names = Object.keys(await contentOf(store))
    const path = (ending: string) =>
      join(folder, names.filter((name) => name.endsWith(ending))[1] ?? '')
    return { store, zst: path('.zst'), json: path('.json') }
  }

  test.each<[string, (files: { zst: string; json: string }) => unknown, RegExp]>([
    [
      'a file with another byte',
      ({ zst }) => writeFileSync(zst, '!', { flag: 'r+' }),
      /-20\.zst is damaged/,
    ],
    [
      'a file that is cut short',
      ({ zst }) => truncateSync(zst, 100),
      /-20\.zst (is cut short|has 100 bytes)/,
    ],
    ['a file that is gone', ({ zst }) => rmSync(zst), /-20\.zst is missing/],
    ['a manifest that is cut short', ({ json }) => truncateSync(json, 40), /\.json is not JSON/],
    [
      'a manifest of a newer Shelf',
      ({ json }) => writeFileSync(json, '{"version":2}'),
      /newer Shelf/,
    ],
    [
      'a manifest of another partition',
      ({ json }) =>
        writeFileSync(json, readFileSync(json, 'utf8').replace('"partition": 0', '"partition": 1')),
      /partition=0\/\S+ is the manifest of another hour|partition=1\/\S+ is missing/,
    ],
  ])('%s is an error that names it, and is never passed over', async (_what, damage, words) => {
    const { store, ...files } = await archiveOf()
    await damage(files)
    const reading = allOf(archiveLog(store, 0))
    await expect(reading).rejects.toThrow(words)
    await expect(reading).rejects.toBeInstanceOf(ArchiveError)
    const found = await verified(store)
    expect(found.wrong).toBeGreaterThan(0)
    expect(found.words.join('\n')).toMatch(words)
  })

  test.each([
    ['how many records', '"records": 20,\n "rawBytes"', '"records": 21,\n "rawBytes"'],
    ['the first offset', '"first": {\n  "offset": 20', '"first": {\n  "offset": 19'],
    ['the last offset', '"last": {\n  "offset": 39', '"last": {\n  "offset": 38'],
    ['the hour', '"hour": "', '"hour": "2020-01-01T00:00:00.000Z", "was": "'],
  ])('a manifest that has %s wrong is called wrong', async (_what, right, wrong) => {
    const { store, json } = await archiveOf()
    const text = readFileSync(json, 'utf8')
    expect(text).toContain(right)
    writeFileSync(json, text.replace(right, wrong))
    expect((await verified(store)).wrong).toBeGreaterThan(0)
  })

  test('a manifest that is gone is a hole that verify calls wrong', async () => {
    const { store, json } = await archiveOf()
    rmSync(json)
    const found = await verified(store)
    expect(found.wrong).toBe(1)
    expect(found.words.join()).toContain('follows offset 39, but the hour before is not there')
    expect(await archiveLog(store, 0).holes(0)).toMatchObject([{ from: 20, to: 40 }])
  })
})

describe('what the log carries', () => {
  test('text, keys, empty values and bytes that are no burst come back byte by byte', async () => {
    const log = new ChangingLog()
    cleanups.push(() => log.close())
    setClock(log, hourStart(1))
    const values = [
      '',
      'AAE=',
      'AAE',
      'A text',
      'zwölf ✓',
      'abcd',
      rawBurst({ number: 1, receivedAtMs: 5 }),
    ]
    const records = values.map((value, at) => ({
      value,
      partition: 0,
      ...(at % 2 === 0 ? { key: `schlüssel ${at}` } : {}),
    }))
    await log.append('raw', records)
    setClock(log, hourStart(0))
    await log.appendRaw('')
    const { store } = newFolder()
    await archived(log, store)
    const back: LogRecord[] = await archiveLog(store, 0).read('raw', 0, 0)
    expect(back.map(({ key }) => key)).toEqual(records.map(({ key }) => key ?? null))
    const bytesOf = (text: string) => Buffer.from(text).toString('hex')
    expect(back.map(asArchived).map(({ value }) => value)).toEqual([
      '',
      '0001',
      ...['AAE', 'A text', 'zwölf ✓', 'abcd'].map(bytesOf),
      Buffer.from(values.at(-1) ?? '', 'base64').toString('hex'),
    ])
  })
})

describe('an S3 that fails', () => {
  const open = (changes: Record<string, string>) => {
    const env = { ...s3.env(`a${++places}`), ...changes }
    return s3Store(env.SHELF_ARCHIVE ?? '', env, { answerMs: 2000, stallMs: 2000 })
  }

  test.each([
    ['a wrong secret', { AWS_SECRET_ACCESS_KEY: 'x' }, 'unauthorized', 'AWS_SECRET_ACCESS_KEY'],
    ['a wrong key', { AWS_ACCESS_KEY_ID: 'x' }, 'unauthorized', 'AWS_ACCESS_KEY_ID'],
    ['no such bucket', { SHELF_ARCHIVE: 's3://nobody/x' }, 'not-found', 'no such bucket'],
    [
      'nobody there',
      { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' },
      'unreachable',
      'ConnectionRefused',
    ],
  ])('%s is said', async (_what, changes, code, words) => {
    const log = await newLog()
    const failure = archived(log, open(changes))
    await expect(failure).rejects.toMatchObject({ code })
    await expect(failure).rejects.toThrow(words)
  })

  test('one that hangs is given up, and one that dies in the middle leaves nothing that counts', async () => {
    const store = open({})
    const log = await newLog()
    s3.freeze()
    try {
      await expect(archived(log, store)).rejects.toMatchObject({ code: 'timeout', retryable: true })
    } finally {
      s3.thaw()
    }
    async function* dying() {
      for (let i = 0; i < 40; i++) {
        if (i === 20) await s3.kill()
        yield new Uint8Array(1_048_576)
      }
    }
    const failure = await store.put('raw/x', dying()).catch((error: unknown) => error)
    await s3.restart()
    expect(failure).toMatchObject({ code: 'unreachable', retryable: true })
    expect(await store.size('raw/x')).toBeUndefined()
    expect((await archived(log, store)).length).toBe(HOURS)
    expect(await verified(store)).toEqual({ wrong: 0, words: [] })
  })
})
