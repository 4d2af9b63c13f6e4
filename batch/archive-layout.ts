/**
 * How the archive is laid out: an hour of a partition is a file of records and, written last, its
 * manifest. `raw/epoch=0/partition=3/2026-11-23T09.json` and `…/2026-11-23T09-81920.zst`, named
 * after the first offset: who begins later in the hour, for what was deleted, overwrites nothing.
 */
import { z } from 'zod'
import { RAW } from './topics.ts'

export const HOUR_MS = 3_600_000

/** In each manifest; one of a newer Shelf is refused. */
export const MANIFEST_VERSION = 1

const count = z.int().min(0)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const positionSchema = z.object({ offset: count, time: z.iso.datetime() })

const blockSchema = z.object({
  /** Where it begins in the file, and how long it is there. */
  at: count,
  bytes: count,
  sha256,
  /** Of its first record. */
  offset: count,
  time: z.iso.datetime(),
  records: count,
})

export const manifestSchema = z.object({
  version: z.literal(MANIFEST_VERSION),
  epoch: count,
  /** Offset at which the epoch begins. */
  begin: count,
  partition: count,
  /** When the hour begins, by log append time. */
  hour: z.iso.datetime(),
  /** Name of the file, in the same folder. */
  file: z.string().regex(/^[0-9T-]+\.zst$/),
  /** Offset behind the file before this one. */
  from: count,
  /** What was deleted before it could be archived: from `from` up to the first record. */
  missing: z.object({ from: count, to: count }).optional(),
  first: positionSchema,
  last: positionSchema,
  records: count,
  /** Of the blocks before and after they were compressed. */
  rawBytes: count,
  bytes: count,
  /** Of the file. */
  sha256,
  blocks: z.array(blockSchema).min(1),
})

export type Manifest = z.infer<typeof manifestSchema>
export type ManifestBlock = z.infer<typeof blockSchema>

/** Something in the archive is not what it was when it was written; names the file. */
export class ArchiveError extends Error {
  override name = 'ArchiveError'
}

/** The hour that a log time lies in: when it begins, Unix ms. */
export const hourOf = (timeMs: number): number => Math.floor(timeMs / HOUR_MS) * HOUR_MS

const hourName = (hourMs: number): string => new Date(hourMs).toISOString().slice(0, 13)

export const EPOCHS = `${RAW}/`

export const epochFolder = (epoch: number): string => `${EPOCHS}epoch=${epoch}/`

export const partitionFolder = (epoch: number, partition: number): string =>
  `${epochFolder(epoch)}partition=${partition}/`

export const manifestName = (epoch: number, partition: number, hourMs: number): string =>
  `${partitionFolder(epoch, partition)}${hourName(hourMs)}.json`

export const fileName = (hourMs: number, offset: number): string =>
  `${hourName(hourMs)}-${offset}.zst`

/** The number in a folder's name, `raw/epoch=3/`; undefined where it is none. */
export function numberOf(folder: string): number | undefined {
  const [, number] = /=(\d{1,9})\/$/.exec(folder) ?? []
  return number === undefined ? undefined : Number(number)
}

/** What the name of a file says; undefined for any other name. */
export function parseName(name: string): { hourMs: number; offset?: number } | undefined {
  const [, hour, offset, ending] =
    /(?:^|\/)(\d{4}-\d\d-\d\dT\d\d)(?:-(\d{1,16}))?\.(json|zst)$/.exec(name) ?? []
  const hourMs = Date.parse(`${hour}:00Z`)
  if (Number.isNaN(hourMs) || (ending === 'zst') !== (offset !== undefined)) return undefined
  return offset === undefined ? { hourMs } : { hourMs, offset: Number(offset) }
}

/** @throws ArchiveError where the text is no manifest, or one of a newer Shelf */
export function parseManifest(name: string, text: string): Manifest {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new ArchiveError(`${name} is not JSON`)
  }
  const version = z.object({ version: z.int() }).safeParse(json).data?.version ?? 0
  if (version > MANIFEST_VERSION) {
    throw new ArchiveError(`${name} was written by a newer Shelf (version ${version}): update`)
  }
  const { data, error } = manifestSchema.safeParse(json)
  if (data !== undefined) return data
  throw new ArchiveError(`${name} is no manifest: ${z.prettifyError(error).replace(/\s+/g, ' ')}`)
}
