/**
 * The archive in an S3-compatible store, through Bun's own client, which asks in path style. Files are
 * written as streams, in parts: an upload that fails is given up by the client, and leaves no object.
 */
import { S3Client } from 'bun'
import { LogError, type LogErrorCode } from '../broker/error.ts'
import type { ArchiveStore } from './archive-store.ts'
import { UsageError } from './program.ts'
import type { Environment } from './state.ts'

/** S3 takes 10,000 parts at most: an hour of 80 GB. Two on their way are what it takes of memory. */
const PART_BYTES = 8 * 1_048_576
const PARTS_AT_ONCE = 2

/** For an answer; and for a part of an upload, on a line of 1 Mbit/s. The client has no limit. */
const ANSWER_MS_MAX = 60_000
const STALL_MS_MAX = 180_000

/** What a person has to put right first; all else may pass. */
const REFUSALS: Record<string, [LogErrorCode, string]> = {
  AccessDenied: ['unauthorized', 'the credentials may not do this'],
  InvalidAccessKeyId: ['unauthorized', 'AWS_ACCESS_KEY_ID is not known there'],
  SignatureDoesNotMatch: ['unauthorized', 'AWS_SECRET_ACCESS_KEY is wrong, or AWS_REGION'],
  AuthorizationHeaderMalformed: ['unauthorized', 'AWS_REGION is another one there'],
  PermanentRedirect: ['unauthorized', 'AWS_REGION is another one there'],
  ExpiredToken: ['unauthorized', 'AWS_SESSION_TOKEN has run out'],
  InvalidToken: ['unauthorized', 'AWS_SESSION_TOKEN is wrong'],
  RequestTimeTooSkewed: ['unauthorized', 'the clock of this machine is wrong'],
  NoSuchBucket: ['not-found', 'there is no such bucket'],
  InvalidBucketName: ['bad-request', 'that is no name of a bucket'],
}

/** Tries of what reads; the pause before the second, then longer. */
const TRIES_MAX = 3
const PAUSE_MS = 200

const NO_FILE = ['NoSuchKey', 'NotFound', 'ERR_S3_FILE_NOT_FOUND']

interface S3Times {
  answerMs?: number
  stallMs?: number
}

/** @throws UsageError where the place or the environment lacks something */
export function s3Store(place: string, env: Environment, times: S3Times = {}): ArchiveStore {
  const { answerMs = ANSWER_MS_MAX, stallMs = STALL_MS_MAX } = times
  const { bucket, prefix } = parsePlace(place)
  const client = new S3Client({ bucket, ...credentialsOf(env) })

  const answered = async <T>(ask: () => Promise<T>): Promise<T> => {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(noAnswer(place, answerMs)), answerMs)
    try {
      return await Promise.race([ask(), late])
    } catch (error) {
      throw failure(place, error)
    } finally {
      clearTimeout(timer)
    }
  }
  /** What reads is asked again: the store closes connections that nobody used for a while. */
  const patiently = async <T>(ask: () => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await answered(ask)
      } catch (error) {
        const mayPass = error instanceof LogError && error.code === 'unreachable'
        if (!mayPass || isNoFile(error) || tries === TRIES_MAX) throw error
        await Bun.sleep(PAUSE_MS * tries)
      }
    }
  }
  /** Undefined where there is no such file. */
  const asked = async <T>(ask: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await patiently(ask)
    } catch (error) {
      if (isNoFile(error)) return undefined
      throw error
    }
  }

  async function* pages(folder: string, startAfter?: string) {
    const asking: Bun.S3ListObjectsOptions = { prefix: folder, delimiter: '/' }
    if (startAfter !== undefined) asking.startAfter = startAfter
    for (;;) {
      const page: Bun.S3ListObjectsResponse = await patiently(() => client.list(asking))
      yield page
      if (!page.isTruncated || page.nextContinuationToken === undefined) return
      asking.continuationToken = page.nextContinuationToken
    }
  }

  return {
    name: place,
    async *files(folder, after) {
      for await (const page of pages(prefix + folder, after && prefix + after)) {
        for (const { key } of page.contents ?? []) yield key.slice(prefix.length)
      }
    },
    async folders(folder) {
      const names: string[] = []
      for await (const page of pages(prefix + folder)) {
        for (const { prefix: name } of page.commonPrefixes ?? []) {
          names.push(name.slice(prefix.length))
        }
      }
      return names.sort()
    },
    get: (name) => asked(() => client.file(prefix + name).bytes()),
    getPart: (name, at, bytes) =>
      asked(() =>
        client
          .file(prefix + name)
          .slice(at, at + bytes)
          .bytes(),
      ),
    size: async (name) => (await asked(() => client.stat(prefix + name)))?.size,
    async put(name, chunks) {
      const { body, sent, stalled, stop } = streamOf(chunks, stallMs, () =>
        noAnswer(place, stallMs),
      )
      const options = { partSize: PART_BYTES, queueSize: PARTS_AT_ONCE }
      try {
        await Promise.race([client.write(prefix + name, new Response(body), options), stalled])
      } catch (error) {
        throw failure(place, error)
      } finally {
        stop()
      }
      // Trusted, but looked at: what counts a file as written is written next.
      const { size } = await patiently(() => client.stat(prefix + name))
      if (size === sent()) return
      throw new LogError('failed', `${place} has ${size} of the ${sent()} bytes of ${name}`)
    },
  }
}

/** The chunks as a stream which fails when nobody takes the next one for `stallMs`. */
function streamOf(
  chunks: AsyncIterable<Uint8Array<ArrayBuffer>>,
  stallMs: number,
  late: () => Error,
) {
  const source = chunks[Symbol.asyncIterator]()
  const { promise: stalled, reject } = Promise.withResolvers<never>()
  let bytes = 0
  let fail = reject
  const timer = setTimeout(() => fail(late()), stallMs)
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      start(controller) {
        // The client gives the upload up when its stream fails.
        fail = (error) => {
          controller.error(error)
          reject(error)
        }
      },
      async pull(controller) {
        timer.refresh()
        const { done, value } = await source.next()
        if (done) return controller.close()
        bytes += value.length
        controller.enqueue(value)
      },
      async cancel() {
        await source.return?.()
      },
    },
    { highWaterMark: 0 },
  )
  return { body, stalled, sent: () => bytes, stop: () => clearTimeout(timer) }
}

function parsePlace(place: string): { bucket: string; prefix: string } {
  const [, bucket, path = ''] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(\/.*)?$/.exec(place) ?? []
  if (bucket === undefined) {
    throw new UsageError(`SHELF_ARCHIVE must be s3://bucket/prefix, not ${place}`)
  }
  const folders = path.split('/').filter((folder) => folder !== '')
  return { bucket, prefix: folders.map((folder) => `${folder}/`).join('') }
}

function credentialsOf(env: Environment) {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = env
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) {
    throw new UsageError(
      'SHELF_ARCHIVE is an S3 store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    )
  }
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1'
  const endpoint =
    env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || `https://s3.${region}.amazonaws.com`
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? '')) {
    throw new UsageError(`AWS_ENDPOINT_URL must be an http(s) URL, not ${endpoint}`)
  }
  return {
    region,
    endpoint,
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : ''

const isNoFile = (error: unknown): boolean =>
  error instanceof LogError && NO_FILE.includes(codeOf(error.cause))

const noAnswer = (place: string, ms: number): LogError =>
  new LogError('timeout', `${place} gave no answer for ${ms / 1000} s`)

/** What the store said; anything else, such as a failure of the log that is read, as it is. */
function failure(place: string, error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'S3Error') return error
  const code = codeOf(error)
  const [kind, words] = REFUSALS[code] ?? ['unreachable', 'it may be away']
  return new LogError(kind, `the archive at ${place} fails with ${code}: ${words}`, {
    cause: error,
  })
}
