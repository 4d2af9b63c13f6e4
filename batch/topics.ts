/** The topics, and how a record of each is printed as a line and read back from one. */
import { z } from 'zod'
import type { LogRecord, NewRecord } from '../broker/log.ts'
import type { RawContent } from '../core/aggregate.ts'
import { aggregateRecordSchema } from '../core/aggregate-record.ts'
import { BurstError, decodeBurst, encodeBurst, packRequests } from '../core/burst.ts'
import { burstFromJson, burstJsonSchema, burstToJson } from '../core/burst-json.ts'
import { checkRecordSchema } from '../core/check-result.ts'
import { isRepartitioned, REPARTITIONED } from '../core/control.ts'

export const RAW = 'raw'
export const AGGREGATES = 'aggregates'
export const DEAD_LETTER = 'dead-letter'
export const CHECK_RESULTS = 'check-results'
/** The rules of the database, for who checks: see core/rule-record.ts. */
export const RULES = 'rules'

/** Where a record stands, on every line that `shelf from` prints. */
const positionSchema = z.object({
  partition: z.int().min(0),
  offset: z.int().min(0),
  /** Log append time. */
  timestamp: z.iso.datetime(),
})

const tickSchema = z.object({ tick: z.literal(true) })
const repartitionedSchema = z.object({ repartitioned: z.literal(true) })

/** A line of the raw topic: a burst, what speaks of the log itself, or what can't be decoded. */
export const rawLineSchema = positionSchema.and(
  z.union([
    burstJsonSchema,
    tickSchema,
    repartitionedSchema,
    z.object({ key: z.string().nullable(), undecodable: z.string() }),
  ]),
)

export type RawLine = z.infer<typeof rawLineSchema>

export const textOf = (value: LogRecord['value']): string =>
  typeof value === 'string' ? value : new TextDecoder().decode(value)

const base64Of = (value: LogRecord['value']): string =>
  typeof value === 'string' ? value : value.toBase64()

/** One line, without its newline. */
export function printRecord(record: LogRecord): string {
  const position = {
    partition: record.partition,
    offset: record.offset,
    timestamp: new Date(record.timestamp).toISOString(),
  }
  if (record.topic === RAW) return JSON.stringify({ ...position, ...rawContent(record) })
  const content = parseJson(textOf(record.value))
  if (typeof content === 'object' && content !== null) {
    return JSON.stringify({ ...position, ...content })
  }
  return JSON.stringify({ ...position, key: record.key, value: textOf(record.value) })
}

function rawContent(record: LogRecord): object {
  if (record.value.length === 0) return { tick: true }
  if (isRepartitioned(record.value)) return { repartitioned: true }
  try {
    return burstToJson(decodeBurst(record.value))
  } catch (error) {
    if (!(error instanceof BurstError)) throw error
    return { key: record.key, undecodable: base64Of(record.value) }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What a line of the raw topic holds, or bytes to try and fail on. */
export function rawLineContent(line: RawLine): RawContent | { undecodable: string } {
  if ('tick' in line) return undefined
  if ('repartitioned' in line) return 'repartitioned'
  if ('undecodable' in line) return { undecodable: line.undecodable }
  const burst = burstFromJson(line)
  return { ...burst, requests: packRequests(burst.requests) }
}

/** `partition` where the record must stand there; otherwise its key decides. */
const placedSchema = z.object({ partition: z.int().min(0).optional() })

const newRawSchema = placedSchema.and(z.union([burstJsonSchema, tickSchema, repartitionedSchema]))

const newRecordSchema = placedSchema.and(z.looseObject({ key: z.string().optional() }))

/** The schema of a line that `shelf to TOPIC` takes. */
export function newLineSchema(topic: string): z.ZodType<NewRecord> {
  if (topic === AGGREGATES) {
    return aggregateRecordSchema.transform((record) => ({
      partition: record.partition,
      value: JSON.stringify(record),
    }))
  }
  if (topic === CHECK_RESULTS) {
    return checkRecordSchema.transform((record) => ({
      partition: record.partition,
      value: JSON.stringify(record),
    }))
  }
  if (topic === RAW) {
    return newRawSchema.transform((line): NewRecord => {
      const placed = line.partition === undefined ? {} : { partition: line.partition }
      if ('tick' in line) return { ...placed, value: '' }
      if ('repartitioned' in line) return { ...placed, value: REPARTITIONED }
      const value = encodeBurst(burstFromJson(line)).toBase64()
      return { ...placed, key: line.app, value }
    })
  }
  return newRecordSchema.transform(({ partition, key, ...content }): NewRecord => {
    return {
      ...(partition === undefined ? {} : { partition }),
      ...(key === undefined ? {} : { key }),
      value: JSON.stringify(content),
    }
  })
}
