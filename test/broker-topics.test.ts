import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EmbeddedLog } from '../broker/embedded.ts'

const folder = mkdtempSync(join(tmpdir(), 'shelf-topics-'))
let log: EmbeddedLog | undefined

afterEach(() => {
  log?.close()
  rmSync(folder, { recursive: true, force: true })
})

function open(raw: number): EmbeddedLog {
  log?.close()
  log = new EmbeddedLog({
    folder,
    topics: { aggregates: { partitions: 1 }, raw: { partitions: raw, onGrowth: 'more' } },
  })
  return log
}

const valuesOf = async (log: EmbeddedLog, topic: string, partition: number) =>
  (await log.read(topic, partition, 0)).map(({ value }) => value)

test('topics are made and get more partitions while the log is used, and never fewer', async () => {
  const log = open(2)
  await log.append('raw', [
    { value: 'a', partition: 0 },
    { value: 'b', partition: 1 },
  ])
  const waiting = log.read('raw', 1, 2, { waitMs: 10_000 })
  await log.createTopics({ other: 2, raw: 4, zebra: 1 })
  await log.createTopics({ other: 1, raw: 4 })
  expect(await log.topics()).toEqual({ aggregates: 1, other: 2, raw: 4, zebra: 1 })
  // A record in each partition says so, old or new, where the topic asks for it.
  expect(await valuesOf(log, 'raw', 0)).toEqual(['a', 'more'])
  expect(await valuesOf(log, 'raw', 2)).toEqual(['more'])
  expect(await valuesOf(log, 'other', 1)).toEqual([])
  // Who reads goes on where it was, and keys find the new partitions.
  await log.append('raw', [{ value: 'c', partition: 1 }])
  expect((await waiting).map(({ value, offset }) => [value, offset])).toEqual([['c', 2]])
  const keys = Array.from({ length: 50 }, (_, i) => ({ key: `app-${i}`, value: 'k' }))
  const placed = await log.append('raw', keys)
  expect(new Set(placed.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2, 3]))
  await log.append('zebra', [{ value: 'z' }])
  expect(await valuesOf(open(4), 'zebra', 0)).toEqual(['z'])
})

test('a log that opens with more partitions says so once, in all of them', async () => {
  await open(2).append('raw', [{ value: 'a', partition: 1 }])
  open(3)
  const log = open(3)
  const values = await Promise.all([0, 1, 2].map((partition) => valuesOf(log, 'raw', partition)))
  expect(values).toEqual([['more'], ['a', 'more'], ['more']])
})

test('a closed log makes no topics', async () => {
  const log = open(1)
  log.close()
  await expect(log.createTopics({ new: 1 })).rejects.toMatchObject({ code: 'unavailable' })
})
