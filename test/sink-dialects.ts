/**
 * How the servers of Kafka's REST APIs hear and speak: each as strict about a request as it is, and
 * with its own way to tell of a record that failed.
 */
import { z } from 'zod'
import type { Dialect } from '../edge/sinks/open-sink.ts'
import type { Asked, Reply } from './sink-wire.ts'

const CLUSTER = 'lkc-abc'
export const TOPIC = 'raw'

export interface Held {
  key: string
  value: string
}

/** Answers the records that came, of which some fail. */
type Speak = (results: readonly Result[], reports: number) => Reply
/** The offset, or the code of the failure. */
export type Result = { offset: number } | { code: number }

export interface RestKind {
  dialect: Dialect
  path: string
  credentials: boolean
  /** Throws a Reply where the server would not have this request. */
  read(asked: Asked): Held[]
  speak: Speak
}

const V2_TYPE = 'application/vnd.kafka.binary.v2+json'
const V2_ANSWER = { 'content-type': 'application/vnd.kafka.v2+json' }

/** Base64 as Java and Python take it: with padding, and of nothing else. */
export const base64Shape = z.base64().transform((text) => Buffer.from(text, 'base64').toString())
const v2Shape = z.strictObject({
  records: z.array(z.strictObject({ key: base64Shape, value: base64Shape })).min(1),
})
const v3Part = z.strictObject({ type: z.literal('BINARY'), data: base64Shape })
const v3Shape = z.array(z.strictObject({ key: v3Part, value: v3Part })).min(1)

export const error = (status: number, error_code: number, message: string): Reply => ({
  status,
  headers: V2_ANSWER,
  body: JSON.stringify({ error_code, message }),
})

function readV2({ method, path, headers, body }: Asked): Held[] {
  if (method !== 'POST') throw error(405, 405, 'HTTP 405 Method Not Allowed')
  if (path !== `/topics/${TOPIC}`) throw error(404, 40401, 'Topic not found.')
  if (headers.get('content-type') !== V2_TYPE) throw error(415, 415, 'Unsupported Media Type')
  if (headers.get('accept') !== V2_ANSWER['content-type']) throw error(406, 406, 'Not Acceptable')
  const { data } = v2Shape.safeParse(JSON.parse(body))
  if (data === undefined) throw error(422, 422, 'Unprocessable Entity')
  return data.records
}

/** @param failure how the server tells of a record that failed, and with which status then */
const speakV2 =
  (failure: (code: number) => object, { failed = 200, written = {}, answer = {} } = {}): Speak =>
  (results) => {
    const offsets = results.map((result) =>
      'code' in result ? failure(result.code) : { partition: 0, ...result, ...written },
    )
    const status = results.some((result) => 'code' in result) ? failed : 200
    return { status, headers: V2_ANSWER, body: JSON.stringify({ ...answer, offsets }) }
  }

const V2 = { dialect: 'rest-v2', path: '', credentials: true, read: readV2 } as const
const NO_SCHEMA = { key_schema_id: null, value_schema_id: null }
const NO_ERROR = { error_code: null, error: null }

export const REST_KINDS = {
  'Confluent v2': {
    ...V2,
    speak: speakV2(
      (code) => ({ partition: null, offset: null, error_code: code, error: 'failed' }),
      { written: NO_ERROR, answer: NO_SCHEMA },
    ),
  },
  Redpanda: {
    ...V2,
    speak: speakV2((code) => ({ partition: 0, error_code: code, offset: -1 })),
  },
  Karapace: {
    ...V2,
    speak: speakV2((code) => ({ error_code: code, error: 'failed' }), {
      failed: 422,
      answer: NO_SCHEMA,
    }),
  },
  Strimzi: {
    ...V2,
    credentials: false,
    speak: speakV2((code) => ({ error_code: code, message: 'failed' })),
  },
  'Confluent v3': {
    dialect: 'rest-v3',
    path: `/kafka/v3/clusters/${CLUSTER}`,
    credentials: true,
    read: readV3,
    speak: (results, reports) => ({
      status: 200,
      headers: { 'content-type': 'application/json' },
      chunked: true,
      body: results.slice(0, reports).map(v3Report).join('\r\n'),
    }),
  },
} as const satisfies Record<string, RestKind>

function readV3({ path, headers, body }: Asked): Held[] {
  if (path !== `/kafka/v3/clusters/${CLUSTER}/topics/${TOPIC}/records`) {
    throw error(404, 404, 'HTTP 404 Not Found')
  }
  if (headers.get('content-type') !== 'application/json') throw error(415, 415, 'Unsupported')
  const { data } = v3Shape.safeParse(JSON.parse(`[${body.replaceAll('}\n{', '},{')}]`))
  if (data === undefined) throw error(200, 400, 'Bad Request: Error processing JSON')
  return data.map(({ key, value }) => ({ key: key.data, value: value.data }))
}

function v3Report(result: Result): string {
  if ('code' in result) return JSON.stringify({ error_code: result.code, message: 'a "}" {' })
  const size = { type: 'BINARY', size: 1 }
  return JSON.stringify({
    error_code: 200,
    cluster_id: CLUSTER,
    topic_name: TOPIC,
    partition_id: 0,
    ...result,
    timestamp: '2026-01-01T00:00:00Z',
    key: size,
    value: size,
  })
}
