/**
 * The records of the topic deliveries, partition 0. A `cut` writes messages down, and up to where
 * check-results was read for them, before anything is sent; a `try` says what became of one try; a
 * `beat` says that somebody is still at it. All of it needs the log only, not PostgreSQL.
 */
import { z } from 'zod'
import type { LogRecord } from '../broker/log.ts'
import { SEVERITIES } from '../core/rule.ts'
import { messageSchema } from '../notify/message.ts'
import { textOf } from './topics.ts'

export const DELIVERIES = 'deliveries'

/** All stand in one partition: their order decides who cut, and who sends. */
export const DELIVERIES_PARTITION = 0

const VERSION = 1

const envelope = {
  version: z.literal(VERSION),
  /** The process that wrote it. */
  by: z.string().min(1).max(64),
  /** Offset of the cut that was in force for the writer; null before the first. */
  after: z.int().min(0).nullable(),
}

const cutSchema = z.object({
  ...envelope,
  kind: z.literal('cut'),
  /** The oldest cut that matters still, for who starts with this one; null: this one. */
  since: z.int().min(0).nullable(),
  /** Offsets of check-results to read on from, by partition. */
  places: z.record(z.string(), z.int().min(0)),
  messages: z.array(messageSchema),
})

export const trySchema = z.object({
  ...envelope,
  kind: z.literal('try'),
  /** Of the message. */
  key: z.string().min(1).max(100),
  outcome: z.enum(['delivered', 'failed', 'dead']),
  /** Which try it was, from 1 on. */
  tries: z.int().min(1),
  at: z.iso.datetime(),
  /** When it is tried again. */
  retryAt: z.iso.datetime().nullable(),
  /** Of a try that failed, in words. */
  error: z.string().nullable(),
  /** For people: where it went, without secrets, and what it said. */
  target: z.string(),
  severity: z.enum(SEVERITIES),
  title: z.string(),
  apps: z.array(z.string()),
  items: z.int().min(1),
  messageAt: z.iso.datetime(),
})

const beatSchema = z.object({ ...envelope, kind: z.literal('beat') })

const recordSchema = z.discriminatedUnion('kind', [cutSchema, trySchema, beatSchema])

export type Cut = z.infer<typeof cutSchema>
export type Try = z.infer<typeof trySchema>
export type DeliveryRecord = z.infer<typeof recordSchema>

/** A record as its author gives it. */
export type NewDelivery =
  | Omit<Cut, 'version' | 'by' | 'after'>
  | Omit<Try, 'version' | 'by' | 'after'>
  | Omit<z.infer<typeof beatSchema>, 'version' | 'by' | 'after'>

export function deliveryValue(by: string, after: number | null, record: NewDelivery): string {
  return JSON.stringify({ version: VERSION, by, after, ...record })
}

/**
 * What a record holds; undefined where it is none.
 * @throws Error for a record of a newer Shelf: to pass over it could send twice
 */
export function parseDelivery(record: LogRecord): DeliveryRecord | undefined {
  let json: unknown
  try {
    json = JSON.parse(textOf(record.value))
  } catch {
    return undefined
  }
  const version = z.object({ version: z.int() }).safeParse(json).data?.version ?? 0
  if (version > VERSION) {
    throw new Error(
      `offset ${record.offset} of ${DELIVERIES} was written by a newer Shelf (version ${version}): ` +
        'update this one',
    )
  }
  return recordSchema.safeParse(json).data
}
