import { Database } from 'bun:sqlite'
import { afterEach, expect, test } from 'bun:test'
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { EmbeddedLog, type EmbeddedLogOptions } from '../broker/embedded.ts'
import type { LogRecord } from '../broker/log.ts'

const hourMs = 3_600_000
const opened: EmbeddedLog[] = []
const folders: string[] = []

afterEach(() => {
  for (const log of opened.splice(0)) log.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-log-'))
  folders.push(folder)
  return folder
}

function open(options: Partial<EmbeddedLogOptions> = {}): EmbeddedLog {
  const topics = { raw: { partitions: 4 }, aggregates: { partitions: 4 } }
  const log = new EmbeddedLog({ folder: newFolder(), topics, ...options })
  opened.push(log)
  return log
}

/** All of one partition, from its earliest record on. */
async function readAll(log: EmbeddedLog, topic: string, partition: number): Promise<LogRecord[]> {
  const all: LogRecord[] = []
  for (;;) {
    const records = await log.read(topic, partition, (all.at(-1)?.offset ?? -1) + 1)
    if (records.length === 0) return all
    all.push(...records)
  }
}

const values = (records: readonly LogRecord[]) => records.map(({ value }) => value)
const offsets = (records: readonly { offset: number }[]) => records.map(({ offset }) => offset)

/** The permissions of each file in a folder, octal. */
const modes = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder).map((name) => [
      name,
      (statSync(join(folder, name)).mode & 0o777).toString(8),
    ]),
  )

test('offsets start at 0, have no holes, and are answered in the order of the records', async () => {
  const log = open()
  const first = await log.append('raw', [
    { value: 'a', partition: 1 },
    { value: 'b', partition: 2 },
    { value: 'c', partition: 1 },
  ])
  const second = await log.append('raw', [{ value: 'd', partition: 1 }])
  expect(first.map(({ topic, partition, offset }) => [topic, partition, offset])).toEqual([
    ['raw', 1, 0],
    ['raw', 2, 0],
    ['raw', 1, 1],
  ])
  expect(offsets(second)).toEqual([2])
  expect(await log.read('raw', 1, 1)).toEqual([
    {
      topic: 'raw',
      partition: 1,
      offset: 1,
      timestamp: first[2]?.timestamp ?? 0,
      key: null,
      value: 'c',
      headers: [],
    },
    expect.objectContaining({ offset: 2, value: 'd' }),
  ])
  expect(await log.topics()).toEqual({ raw: 4, aggregates: 4 })
})

test('appends that come together share a commit and keep their order', async () => {
  const log = open()
  const sent = Array.from({ length: 500 }, (_, n) => String(n))
  const answers = await Promise.all(
    sent.map((value) => log.append('raw', [{ value, partition: 0 }])),
  )
  expect(answers.flat().map(({ offset }) => offset)).toEqual(sent.map(Number))
  expect(values(await readAll(log, 'raw', 0))).toEqual(sent)
  expect(new Set(answers.flat().map(({ timestamp }) => timestamp)).size).toBe(1)
})

test('what was appended is there after a reopening, and offsets go on', async () => {
  const folder = newFolder()
  const before = open({ folder })
  await before.append('raw', [{ value: 'a', key: 'playlab' }])
  const partition = 0
  await before.append('raw', [{ value: 'b', partition }])
  const kept = await readAll(before, 'raw', partition)
  before.close()
  const after = open({ folder })
  expect(await readAll(after, 'raw', partition)).toEqual(kept)
  expect(offsets(await after.append('raw', [{ value: 'c', partition }]))).toEqual([kept.length])
})

test('any text comes back as it was given', async () => {
  const log = open()
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'binary' }),
      fc.option(fc.string({ unit: 'binary', minLength: 1 })),
      async (value, key) => {
        const [at] = await log.produce([{ topic: 'raw', value, key }])
        const [record] = await log.read('raw', at?.partition ?? -1, at?.offset ?? -1)
        expect(record).toMatchObject({ value, key })
      },
    ),
    {
      numRuns: 200,
      examples: [
        ['\0', 'a\0b'],
        ['\ufeff', 'x'],
      ],
    },
  )
})

test('headers come back as they were given', async () => {
  const log = open()
  const headers = [{ key: 'content-type', value: 'text/plain' }]
  await log.produce([{ topic: 'raw', partition: 0, value: 'a', headers }])
  expect(await log.fetch([{ topic: 'raw', partition: 0, offset: 0 }])).toMatchObject([{ headers }])
})

test('an append to several topics is written whole or not at all', async () => {
  const log = open()
  const failing = log.produce([
    { topic: 'raw', partition: 0, value: 'a' },
    { topic: 'aggregates', partition: 9, value: 'b' },
  ])
  await expect(failing).rejects.toMatchObject({ code: 'not-found', status: 404, retryable: false })
  expect(await log.offsetAt('raw', 0, 'latest')).toBe(0)
  await log.produce([
    { topic: 'raw', partition: 0, value: 'a' },
    { topic: 'aggregates', partition: 3, value: 'b' },
  ])
  expect(values(await readAll(log, 'raw', 0))).toEqual(['a'])
  expect(values(await readAll(log, 'aggregates', 3))).toEqual(['b'])
})

test('the same key always lands on the same partition, no key spreads over all', async () => {
  const log = open()
  const keyed = await log.append(
    'raw',
    Array.from({ length: 50 }, () => ({ value: 'x', key: 'foobar' })),
  )
  expect(new Set(keyed.map(({ partition }) => partition))).toEqual(
    new Set([(-790332482 & 0x7fffffff) % 4]),
  )
  const keyless = await Promise.all(
    Array.from({ length: 50 }, () => log.append('raw', [{ value: 'x' }])),
  )
  expect(new Set(keyless.flat().map(({ partition }) => partition)).size).toBe(4)
})

test('timestamps never decrease, also when the clock is set back and over a reopening', async () => {
  const folder = newFolder()
  let wallMs = 1_800_000_000_000
  const stamps: number[] = []
  const append = async (log: EmbeddedLog) => {
    const [at] = await log.append('raw', [{ value: 'x', partition: 0 }])
    stamps.push(at?.timestamp ?? 0)
  }
  const before = open({ folder, wallMs: () => wallMs })
  await append(before)
  wallMs -= hourMs
  await append(before)
  before.close()
  wallMs -= hourMs
  const after = open({ folder, wallMs: () => wallMs })
  await append(after)
  wallMs += 24 * hourMs
  await append(after)
  expect(stamps).toEqual(stamps.toSorted((a, b) => a - b))
  expect(stamps[0]).toBe(1_800_000_000_000)
  expect(stamps[2]).toBeWithin(1_800_000_000_000, 1_800_000_000_000 + hourMs)
  expect(stamps[3]).toBe(wallMs)
  expect((await readAll(after, 'raw', 0)).map(({ timestamp }) => timestamp)).toEqual(stamps)
})

test('reading before the earliest record starts at it, reading after the last gives nothing', async () => {
  const log = open()
  await log.append('raw', [{ value: 'a', partition: 0 }])
  expect(values(await log.read('raw', 0, 0))).toEqual(['a'])
  expect(await log.read('raw', 0, 1)).toEqual([])
  expect(await log.read('raw', 0, 1_000_000)).toEqual([])
  expect(await log.read('raw', 1, 0)).toEqual([])
})

test('an offset for a time is that of the first record at or after it', async () => {
  let wallMs = 1_800_000_000_000
  const log = open({ wallMs: () => wallMs })
  for (let n = 0; n < 40; n++) {
    wallMs += n % 3 === 0 ? 0 : n * 10
    await log.append('raw', [{ value: String(n), partition: 0 }])
  }
  const records = await readAll(log, 'raw', 0)
  const first = records[0]?.timestamp ?? 0
  const last = records.at(-1)?.timestamp ?? 0
  for (let ms = first - 5; ms <= last + 5; ms += 5) {
    const expected = records.find(({ timestamp }) => timestamp >= ms)?.offset ?? records.length
    expect(await log.offsetAt('raw', 0, ms)).toBe(expected)
  }
  expect(await log.offsetAt('raw', 0, 'earliest')).toBe(0)
  expect(await log.offsetAt('raw', 0, 'latest')).toBe(40)
  expect(await log.offsetAt('raw', 1, 0)).toBe(0)
})

test('retention moves the earliest record, keeps the offsets, and the file shrinks', async () => {
  const folder = newFolder()
  let wallMs = 1_800_000_000_000
  const topics = {
    raw: { partitions: 1, retentionMs: hourMs },
    aggregates: { partitions: 1 },
  }
  const log = open({ folder, topics, wallMs: () => wallMs, elapsedMs: () => wallMs })
  const value = 'x'.repeat(20_000)
  const batch = Array.from({ length: 200 }, () => ({ value, partition: 0 }))
  for (let n = 0; n < 6; n++) await log.append('raw', batch)
  await log.append('aggregates', [{ value: 'kept', partition: 0 }])
  // More than an hour: where the wall stands still, as here, the log's own clock goes on.
  wallMs += 2 * hourMs
  await log.append('raw', [{ value: 'young', partition: 0 }])

  expect(await log.retain()).toBe(1200)
  expect(await log.offsetAt('raw', 0, 'earliest')).toBe(1200)
  expect(values(await log.read('raw', 0, 0))).toEqual(['young'])
  expect(values(await log.read('aggregates', 0, 0))).toEqual(['kept'])
  expect(await log.retain()).toBe(0)

  wallMs += 2 * hourMs
  expect(await log.retain()).toBe(1)
  expect(await log.read('raw', 0, 0)).toEqual([])
  log.close()
  expect(statSync(join(folder, 'log.sqlite')).size).toBeLessThan(8_000_000)

  const again = open({ folder, topics, wallMs: () => wallMs - 24 * hourMs })
  expect(await again.offsetAt('raw', 0, 'earliest')).toBe(1201)
  const [at] = await again.append('raw', [{ value: 'next', partition: 0 }])
  expect(at?.offset).toBe(1201)
  expect(at?.timestamp).toBeGreaterThanOrEqual(1_800_000_000_000 + hourMs)
})

test('a waiting read is answered at once when its record comes, not when another does', async () => {
  const log = open()
  const startMs = performance.now()
  let answered = false
  const waiting = log.read('raw', 2, 0, { waitMs: 20_000 }).finally(() => {
    answered = true
  })
  await log.append('raw', [{ value: 'other', partition: 1 }])
  await log.append('raw', [{ value: 'other', partition: 3 }])
  expect(answered).toBe(false)
  await log.append('raw', [{ value: 'mine', partition: 2 }])
  expect(values(await waiting)).toEqual(['mine'])
  expect(performance.now() - startMs).toBeLessThan(5_000)
})

test('a waiting read ends with nothing after its wait, and when the log closes', async () => {
  const log = open()
  const startMs = performance.now()
  expect(await log.read('raw', 0, 0, { waitMs: 50 })).toEqual([])
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(49)
  const waiting = log.read('raw', 0, 0, { waitMs: 20_000 })
  log.close()
  expect(await waiting).toEqual([])
  await expect(log.read('raw', 0, 0)).rejects.toMatchObject({ code: 'unavailable', status: 503 })
  await expect(log.append('raw', [{ value: 'x' }])).rejects.toMatchObject({ code: 'unavailable' })
})

test('more waiting reads than the log allows are refused, and the others stay', async () => {
  const log = open()
  const waiting = Array.from({ length: 1024 }, () => log.read('raw', 0, 0, { waitMs: 20_000 }))
  await expect(log.read('raw', 0, 0, { waitMs: 20_000 })).rejects.toMatchObject({ status: 503 })
  await log.append('raw', [{ value: 'all', partition: 0 }])
  expect((await Promise.all(waiting)).flatMap(values)).toEqual(Array(1024).fill('all'))
  expect(await log.read('raw', 1, 0, { waitMs: 1 })).toEqual([])
})

test('an aborted read throws the reason of its signal', async () => {
  const log = open()
  const controller = new AbortController()
  const waiting = log.read('raw', 0, 0, { waitMs: 20_000, signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
})

test('what was appended before a close is written', async () => {
  const folder = newFolder()
  const log = open({ folder })
  const appending = log.append('raw', [{ value: 'last', partition: 0 }])
  log.close()
  expect(offsets(await appending)).toEqual([0])
  expect(values(await readAll(open({ folder }), 'raw', 0))).toEqual(['last'])
})

test('one answer is bounded, and holds at least one record', async () => {
  const log = open()
  const big = 'x'.repeat(1_000_000)
  for (let n = 0; n < 10; n++) await log.append('raw', [{ value: big, partition: 0 }])
  expect((await log.read('raw', 0, 0)).length).toBe(4)
  const small = Array.from({ length: 6_000 }, () => ({ value: 's', partition: 1 }))
  await log.append('raw', small)
  expect((await log.read('raw', 1, 0)).length).toBe(5_000)
  expect((await readAll(log, 'raw', 1)).length).toBe(6_000)
  const places = [0, 1].map((partition) => ({ topic: 'raw', partition, offset: 0 }))
  const both = await log.fetch([...places, { topic: 'raw', partition: 2, offset: 0 }])
  expect(both.length).toBeGreaterThan(1_000)
  expect(new Set(both.map(({ partition }) => partition))).toEqual(new Set([0, 1]))
  expect((await log.fetch(places, { recordsMax: 5 })).length).toBe(5)
})

test('no partition starves while another is far behind', async () => {
  const log = open()
  const big = 'x'.repeat(1_000_000)
  const places = [0, 1, 2, 3].map((partition) => ({ topic: 'raw', partition, offset: 0 }))
  for (const { partition } of places) {
    for (let n = 0; n < 6; n++) await log.append('raw', [{ value: big, partition }])
  }
  const seen = new Set<number>()
  for (let n = 0; n < 4; n++) {
    for (const { partition } of await log.fetch(places)) seen.add(partition)
  }
  expect(seen.size).toBe(4)
})

test('a record of 1 MiB is taken, a larger one is refused', async () => {
  const log = open()
  const value = 'x'.repeat(1_048_576)
  await log.append('raw', [{ value, partition: 0 }])
  expect((await log.read('raw', 0, 0))[0]?.value).toBe(value)
  await expect(log.append('raw', [{ value: 'é'.repeat(524_295) }])).rejects.toMatchObject({
    code: 'too-large',
    status: 413,
    retryable: false,
  })
})

test('a full queue refuses at once and takes again once it is empty', async () => {
  const log = open()
  const value = 'x'.repeat(1_000_000)
  const appends = Array.from({ length: 80 }, () => log.append('raw', [{ value, partition: 0 }]))
  const results = await Promise.allSettled(appends)
  const taken = results.filter(({ status }) => status === 'fulfilled').length
  expect(taken).toBe(67)
  for (const result of results) {
    if (result.status === 'fulfilled') continue
    expect(result.reason).toMatchObject({ code: 'unavailable', status: 503, retryable: true })
  }
  expect(await log.offsetAt('raw', 0, 'latest')).toBe(taken)
  expect(offsets(await log.append('raw', [{ value, partition: 0 }]))).toEqual([taken])
})

test('text that is not well-formed Unicode is refused, not changed', async () => {
  const log = open()
  await expect(log.append('raw', [{ value: 'a\ud800b' }])).rejects.toMatchObject({
    code: 'bad-request',
  })
  await expect(log.append('raw', [{ value: 'a', key: '\udc00' }])).rejects.toMatchObject({
    status: 400,
  })
})

test('a partition count grows, keeps its records, and never shrinks', async () => {
  const folder = newFolder()
  const before = open({ folder, topics: { raw: { partitions: 2 }, old: { partitions: 1 } } })
  await before.append('raw', [{ value: 'a', partition: 1 }])
  await before.append('old', [{ value: 'o' }])
  before.close()
  const after = open({ folder, topics: { raw: { partitions: 5 }, new: { partitions: 1 } } })
  expect(await after.topics()).toEqual({ raw: 5, old: 1, new: 1 })
  expect(values(await after.read('raw', 1, 0))).toEqual(['a'])
  expect(values(await after.read('old', 0, 0))).toEqual(['o'])
  expect(offsets(await after.append('raw', [{ value: 'b', partition: 4 }]))).toEqual([0])
  after.close()
  expect(() => open({ folder, topics: { raw: { partitions: 4 } } })).toThrow(/never shrink/)
})

test('a folder is served by one log at a time', () => {
  const folder = newFolder()
  open({ folder })
  expect(() => open({ folder })).toThrow(/open in another process/)
})

test("the log's files are for their owner only, whatever the umask", async () => {
  const before = process.umask(0o022)
  try {
    const folder = newFolder()
    await open({ folder }).append('raw', [{ value: 'a' }])
    expect(modes(folder)).toEqual({ 'log.sqlite': '600', 'log.sqlite-wal': '600' })
    expect(process.umask()).toBe(0o022)
  } finally {
    process.umask(before)
  }
})

test('files that are open to others are closed to them, also those of a log that was killed', async () => {
  const [folder, copy] = [newFolder(), newFolder()]
  const [sent] = await open({ folder }).append('raw', [{ value: 'a', partition: 1 }])
  for (const name of readdirSync(folder)) {
    copyFileSync(join(folder, name), join(copy, name))
    chmodSync(join(copy, name), 0o664)
  }
  const log = open({ folder: copy })
  expect(modes(copy)).toEqual({ 'log.sqlite': '600', 'log.sqlite-wal': '600' })
  expect(values(await log.read('raw', 1, sent?.offset ?? 0))).toEqual(['a'])
})

test('a file of a newer version is refused with what to do', () => {
  const folder = newFolder()
  open({ folder }).close()
  const db = new Database(join(folder, 'log.sqlite'))
  db.run('pragma user_version = 2')
  db.close()
  expect(() => open({ folder })).toThrow(/version 2.*run the newer program/)
})

test('appends, reads, retention and reopenings agree with a list in memory', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('append'), partition: fc.nat(1), n: fc.nat(20) }),
    fc.record({ do: fc.constant('pass'), n: fc.nat(100) }),
    fc.record({ do: fc.constant('back'), n: fc.nat(100) }),
    fc.record({ do: fc.constant('retain') }),
    fc.record({ do: fc.constant('reopen') }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const folder = newFolder()
      const topics = { raw: { partitions: 2, retentionMs: 200 } }
      let wallMs = 1_800_000_000_000
      let log = open({ folder, topics, wallMs: () => wallMs })
      const model: { offset: number; timestamp: number; value: unknown }[][] = [[], []]
      const earliest = [0, 0]
      const next = [0, 0]
      for (const [index, taken] of steps.entries()) {
        if ('partition' in taken) {
          const { partition } = taken
          const sent = Array.from({ length: taken.n }, (_, n) => ({
            value: `${index}.${n}`,
            partition,
          }))
          const answers = await log.append('raw', sent)
          answers.forEach(({ offset, timestamp }, n) => {
            expect(offset).toBe(next[partition] ?? -1)
            next[partition] = offset + 1
            model[partition]?.push({ offset, timestamp, value: sent[n]?.value })
          })
        } else if (taken.do === 'reopen') {
          log.close()
          log = open({ folder, topics, wallMs: () => wallMs })
        } else if (taken.do === 'retain') {
          await log.retain()
          for (const partition of [0, 1]) {
            model[partition] = model[partition]?.filter((r) => r.timestamp >= wallMs - 200) ?? []
            earliest[partition] = model[partition]?.[0]?.offset ?? next[partition] ?? 0
          }
        } else if ('n' in taken) {
          wallMs += taken.do === 'pass' ? taken.n : -taken.n
        }
      }
      for (const partition of [0, 1]) {
        const found = await readAll(log, 'raw', partition)
        expect(found).toMatchObject(model[partition] ?? [])
        expect(found.length).toBe(model[partition]?.length ?? -1)
        expect(await log.offsetAt('raw', partition, 'earliest')).toBe(earliest[partition] ?? -1)
        expect(await log.offsetAt('raw', partition, 'latest')).toBe(next[partition] ?? -1)
      }
      log.close()
    }),
    { numRuns: 40 },
  )
}, 30_000)

test('a clock that is set forward deletes nothing', async () => {
  let wallMs = 1_800_000_000_000
  const log = open({ wallMs: () => wallMs })
  await log.append('raw', [{ value: 'young', partition: 0 }])
  wallMs += 30 * 24 * hourMs
  expect(await log.retain()).toBe(0)
  expect(await log.offsetAt('raw', 0, 'earliest')).toBe(0)
})
