/** What the tests of the archive share: a log of some hours, and where it is archived to. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Manifest } from '../batch/archive-layout.ts'
import { archivePartition } from '../batch/archive-partition.ts'
import type { ArchiveStore } from '../batch/archive-store.ts'
import type { Log, LogRecord } from '../broker/log.ts'
import { archivedValue } from '../core/archive-block.ts'
import { rawBurst } from './bursts.ts'
import { ChangingLog } from './changing-log.ts'

export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000

export function temporaryFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-archive-'))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Hours ago its clock begins: three hours that are over, and the one that is open. */
export const HOURS = 3

/** A log with `perHour` bursts in each of the last HOURS hours, and one in the open hour. */
export async function logOfHours(perHour = 20, partitions = 1): Promise<ChangingLog> {
  const log = new ChangingLog({ partitions })
  for (let hour = HOURS; hour >= 0; hour--) {
    for (let partition = 0; partition < partitions; partition++) {
      await appendHour(log, hour, hour === 0 ? 1 : perHour, partition)
    }
  }
  return log
}

/** Bursts spread over the hour that began so many hours ago; the open one has its first second. */
export async function appendHour(
  log: ChangingLog,
  hoursAgo: number,
  bursts: number,
  partition = 0,
): Promise<void> {
  const startMs = hourStart(hoursAgo)
  for (let at = 0; at < bursts; at++) {
    setClock(log, startMs + Math.floor((at / bursts) * HOUR_MS))
    const number = (hoursAgo + 10) * 100_000 + at
    const value = rawBurst({ number, receivedAtMs: log.nowMs })
    await log.append('raw', [{ key: 'shop', value, partition }])
  }
}

export const hourStart = (hoursAgo: number): number =>
  Math.floor(Date.now() / HOUR_MS) * HOUR_MS - hoursAgo * HOUR_MS

/** Moves the log's clock to a time; not back behind what it stamped. */
export function setClock(log: ChangingLog, timeMs: number): void {
  log.aheadMs += timeMs - log.nowMs
}

/** Archives a partition; what came of it. */
export async function archived(log: Log, store: ArchiveStore, partition = 0): Promise<Manifest[]> {
  const manifests: Manifest[] = []
  await archivePartition(log, store, partition, new AbortController().signal, (manifest) => {
    manifests.push(manifest)
  })
  return manifests
}

/** A record as the archive gives it back: its value is bytes. */
export const asArchived = ({ offset, timestamp, key, value }: LogRecord) => ({
  offset,
  timestamp,
  key,
  value: archivedValue(value).toHex(),
})

export async function allOf(log: Pick<Log, 'read'>, partition = 0, from = 0) {
  const all: LogRecord[] = []
  for (let at = from; ; at = (all.at(-1)?.offset ?? 0) + 1) {
    const records = await log.read('raw', partition, at)
    if (records.length === 0) return all.map(asArchived)
    all.push(...records)
  }
}

/** Each file of an archive with its bytes, in hex. */
export async function contentOf(store: ArchiveStore, folder = ''): Promise<Record<string, string>> {
  const content: Record<string, string> = {}
  for await (const name of store.files(folder)) {
    content[name] = (await store.get(name))?.toHex() ?? ''
  }
  for (const inner of await store.folders(folder)) {
    Object.assign(content, await contentOf(store, inner))
  }
  return content
}
