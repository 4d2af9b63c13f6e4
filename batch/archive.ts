/**
 * `shelf archive`: copies closed hours of raw to an S3-compatible store or a folder, so that they
 * outlive the log's retention. What is done lies in the archive: two of it write the same bytes.
 */
import { LogError } from '../broker/error.ts'
import type { Log } from '../broker/log.ts'
import { archivedValue, BlockWriter } from '../core/archive-block.ts'
import { connect } from '../db/client.ts'
import type { Hour } from './archive-hour.ts'
import { ArchiveError, type Manifest } from './archive-layout.ts'
import { archivePartition, plannedHours } from './archive-partition.ts'
import { type ArchiveStore, locateArchive } from './archive-store.ts'
import { verifyArchive } from './archive-verify.ts'
import { locateLog } from './locate.ts'
import { partitionsOf, patiently, pause } from './loop.ts'
import { writeOut } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { type Program, say, UsageError } from './program.ts'
import { RAW } from './topics.ts'

/** Between two rounds within `shelf run`: hours close once an hour. */
const ROUND_MS = 10 * 60_000

export const archive: Program = {
  usage: 'archive',
  summary: 'Copies closed hours of the raw log to SHELF_ARCHIVE, once. For cron.',
  details: `
SHELF_ARCHIVE is a folder, or s3://bucket/prefix: then AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and,
as needed, AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL say how to get there.
Prints each hour that it copied: partition, hour, records, bytes. Safe to run twice, at the same
time, and again after it was killed. Where SHELF_ARCHIVE is set, shelf run does the same.`,
  options: {
    'dry-run': { type: 'boolean', help: 'print what would be copied, and about how large it is' },
    verify: { type: 'boolean', help: 'read the whole archive back, and check it' },
  },
  async run({ flags }, signal) {
    const store = locateArchive(process.env)
    if (flags.verify && flags['dry-run']) throw new UsageError('--verify writes nothing anyway')
    if (flags.verify) return await verify(store, signal)
    const log = openLog(locateLog(process.env))
    if (flags['dry-run']) return await plan(log, store, signal)
    const hours = await archiveLogOnce(log, store, signal, ({ partition, hour, records, bytes }) =>
      writeOut(`${partition} ${hour} ${records} records ${bytes} bytes\n`),
    )
    say(`${hours} hours archived`)
  },
}

/**
 * Archives again and again until `signal`, whatever fails. One worker at a time, as long as
 * PostgreSQL can tell; two would write the same twice.
 */
export async function archiveForever(
  log: Log,
  store: ArchiveStore,
  databaseUrl: string,
  signal: AbortSignal,
): Promise<void> {
  const sql = connect(databaseUrl, { max: 1, settings: { application_name: 'shelf run archive' } })
  try {
    await patiently('archive', signal, async (succeeded) => {
      while (!signal.aborted) {
        const lease = await sql.reserve()
        try {
          const [row] = await lease<{ isOurs: boolean }[]>`
            select pg_try_advisory_lock(hashtextextended('shelf.archive', 0)) as "isOurs"`
          const hours = row?.isOurs ? await archiveLogOnce(log, store, signal) : 0
          if (hours > 0) say(`archive: ${hours} hours copied to ${store.name}`)
        } finally {
          await lease`select pg_advisory_unlock_all()`.catch(() => {})
          lease.release()
        }
        succeeded()
        await pause(ROUND_MS, signal)
      }
    })
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/**
 * Archives all that is closed, partition by partition. What is wrong with one does not stop the
 * others, and is thrown at the end.
 * @returns how many hours were copied
 */
async function archiveLogOnce(
  log: Log,
  store: ArchiveStore,
  signal: AbortSignal,
  told: (manifest: Manifest) => Promise<void> | void = () => {},
): Promise<number> {
  const partitions = partitionsOf(await log.topics(), RAW)
  let hours = 0
  let failure: unknown
  for (let partition = 0; partition < partitions && !signal.aborted; partition++) {
    try {
      await archivePartition(log, store, partition, signal, async (manifest) => {
        hours += 1
        tellOfMissing(manifest)
        await told(manifest)
      })
    } catch (error) {
      if (signal.aborted) break
      if (!isOfPartition(error)) throw error
      if (failure !== undefined) say(`archive: ${error.message}`)
      failure ??= error
    }
  }
  if (failure !== undefined) throw failure
  return hours
}

function isOfPartition(error: unknown): error is Error {
  if (error instanceof LogError) return error.code === 'unavailable' || error.code === 'replaced'
  return error instanceof ArchiveError
}

function tellOfMissing({ partition, hour, missing }: Manifest): void {
  if (missing === undefined) return
  const { from, to } = missing
  say(
    `archive: partition ${partition} lacks the offsets ${from} to ${to - 1} before ${hour}: ` +
      'they were deleted before they were archived',
  )
}

async function plan(log: Log, store: ArchiveStore, signal: AbortSignal): Promise<void> {
  const partitions = partitionsOf(await log.topics(), RAW)
  for (let partition = 0; partition < partitions; partition++) {
    for await (const hour of plannedHours(log, store, partition)) {
      if (signal.aborted) return
      const records = hour.end - hour.first.offset
      const bytes = Math.ceil(records * (await recordBytes(log, hour)))
      const time = new Date(hour.hourMs).toISOString()
      await writeOut(`${partition} ${time} ${records} records about ${bytes} bytes\n`)
    }
  }
}

/** What a record takes in the archive, by the first ones of the hour. */
async function recordBytes(log: Log, { partition, first, end }: Hour): Promise<number> {
  const sample = new BlockWriter()
  for (const record of await log.read(RAW, partition, first.offset)) {
    if (record.offset < end) sample.push({ ...record, value: archivedValue(record.value) })
  }
  const { count } = sample
  return (await Bun.zstdCompress(sample.finish())).length / Math.max(1, count)
}

async function verify(store: ArchiveStore, signal: AbortSignal): Promise<void> {
  const { hours, records, bytes, wrong } = await verifyArchive(store, signal, say)
  if (hours === 0) throw new ArchiveError(`nothing is archived in ${store.name}: is it the place?`)
  if (wrong > 0) throw new ArchiveError(`${wrong} of ${hours} hours in ${store.name} are not right`)
  say(`${hours} hours, ${records} records, ${bytes} bytes: all right`)
}
