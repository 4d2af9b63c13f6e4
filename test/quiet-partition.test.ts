/** A partition without bursts: compact, retain and checks of all others wait for its watermark. */
import { afterEach, beforeEach, expect, setSystemTime, test } from 'bun:test'
import { parseAggregate } from '../batch/aggregate-tail.ts'
import { AggregateWorker } from '../batch/aggregate-worker.ts'
import { rawBurst } from './bursts.ts'
import { ChangingLog } from './changing-log.ts'

const signal = new AbortController().signal

let log: ChangingLog
let worker: AggregateWorker

beforeEach(async () => {
  log = new ChangingLog()
  timeIs('01T12:00:10')
  worker = await AggregateWorker.start(log, 0)
})
afterEach(() => {
  setSystemTime()
  log.close()
})

/** It is this time for us, and for the log. */
function timeIs(time: string): void {
  const ms = Date.parse(`2026-03-${time}Z`)
  setSystemTime(ms)
  log.aheadMs += ms - log.nowMs
}

/** What the worker does at times of one day. */
async function stepAt(...times: string[]): Promise<void> {
  for (const time of times) {
    timeIs(`01T${time}`)
    await worker.step(signal, 0)
  }
}

/** Times of day of the records of raw. */
async function rawTimes(): Promise<string[]> {
  const records = await log.all('raw')
  return records.map(({ timestamp }) => new Date(timestamp).toISOString().slice(11, 19))
}

async function watermarks(): Promise<string[]> {
  const records = await log.all('aggregates')
  return records.flatMap((record) => parseAggregate(record)?.watermark.slice(11, 19) ?? [])
}

test('each minute that ends without a burst is told by a tick, which another one closes', async () => {
  await log.appendRaw(rawBurst({ number: 1, receivedAtMs: log.nowMs }))
  await stepAt('12:00:10', '12:00:12', '12:00:12', '12:00:30', '12:01:05')
  expect(await rawTimes()).toEqual(['12:00:10', '12:00:12'])

  await stepAt('12:01:06', '12:01:06', '12:01:07', '12:01:08', '12:01:08')
  await stepAt('12:01:30')
  expect(await rawTimes()).toEqual(['12:00:10', '12:00:12', '12:01:06', '12:01:08'])
  expect(await watermarks()).toEqual(['12:00:10', '12:00:12', '12:01:06'])

  await stepAt('12:02:06', '12:02:06', '12:02:08', '12:02:08')
  expect(await watermarks()).toEqual(['12:00:10', '12:00:12', '12:01:06', '12:01:08', '12:02:06'])
})

test('a worker that starts when all is quiet goes on with it', async () => {
  await log.appendRaw(rawBurst({ number: 1, receivedAtMs: log.nowMs }))
  await stepAt('12:00:10', '12:00:12', '12:00:12')
  timeIs('03T09:30:00')
  worker = await AggregateWorker.start(log, 0)
  await worker.step(signal, 0)
  timeIs('03T09:31:00')
  await worker.step(signal, 0)
  expect((await rawTimes()).at(-1)).toBe('09:31:00')
})

test('a partition that never had a burst stays empty', async () => {
  await stepAt('12:00:10', '12:01:06', '12:30:00')
  expect(await rawTimes()).toEqual([])
})

test('where all of raw is deleted, a tick takes its place', async () => {
  await log.appendRaw(rawBurst({ number: 1, receivedAtMs: log.nowMs }))
  await stepAt('12:00:10', '12:00:12', '12:00:12')
  await log.truncate('raw', 2)
  worker = await AggregateWorker.start(log, 0)
  await stepAt('12:01:30')
  await stepAt('12:01:31')
  expect((await rawTimes()).length).toBeGreaterThan(0)
})
