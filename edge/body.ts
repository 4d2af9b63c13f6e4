/** The bytes of a request's body: bounded in size and time, and unpacked where they are gzip. */
import { EdgeError } from './errors.ts'
import { inTime, LATE } from './time.ts'

/**
 * Seven times what Logplex aims at (http_drain_target_bytes, 102,400); as it is and unpacked. The
 * record stays below Kafka's 1,048,588: 28 bytes of columns for a shortest frame of 32, as base64.
 */
export const BODY_BYTES_MAX = 786_432

/** Room for a body whose length nobody said; it grows from there. */
const ROOM_BYTES_MIN = 65_536

/** A sender that is refused may write on for so long before its connection is left to the runtime. */
const DISCARD_MS_MAX = 2000

/**
 * workerd unpacks what it is given at once, up to 1,032 bytes from each (deflate's bound), and takes
 * a piece for each 4 KiB that are read: so a bomb is stopped at 13 MB, where whole it made 1 GB.
 */
const PIECE_BYTES = 64

/** What the body will take in memory, bytes, as far as its headers tell: at most, where they don't. */
export function bodyBytes(headers: Headers): number {
  const most = Math.min(contentLength(headers) ?? BODY_BYTES_MAX, BODY_BYTES_MAX)
  return headers.has('content-encoding') ? most + BODY_BYTES_MAX : most
}

function contentLength(headers: Headers): number | undefined {
  const text = headers.get('content-length') ?? ''
  return /^\d+$/.test(text) ? Number(text) : undefined
}

/**
 * @param msMax a body that is not here whole by then is given up
 * @throws EdgeError body-too-large, bad-encoding, body-too-slow
 */
export async function readBody(request: Request, msMax: number): Promise<Uint8Array> {
  const encoding = (request.headers.get('content-encoding') ?? 'identity').toLowerCase()
  if (encoding !== 'identity' && encoding !== 'gzip') {
    throw new EdgeError(
      'bad-encoding',
      `Content-Encoding ${encoding.slice(0, 32)} is not taken: gzip or none`,
    )
  }
  const length = contentLength(request.headers) ?? ROOM_BYTES_MIN
  if (length > BODY_BYTES_MAX) throw tooLarge()
  const untilMs = Date.now() + msMax
  const body = request.body === null ? new Uint8Array() : await collect(request.body, length, msMax)
  return encoding === 'gzip' ? await unpack(body, untilMs - Date.now()) : body
}

/**
 * Reads a body that nobody wants, up to the limit, and holds none of it: with bytes unread, workerd
 * cuts the connection, and a sender that is still writing never sees the answer.
 */
export async function discardBody(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed) return
  await consume(request.body, DISCARD_MS_MAX, () => {}).catch(() => {})
}

const tooLarge = (): EdgeError =>
  new EdgeError('body-too-large', `a body has at most ${BODY_BYTES_MAX} bytes, also unpacked`)

const notGzip = (): EdgeError =>
  new EdgeError('bad-encoding', 'the body is not gzip, or ends too early')

async function unpack(packed: Uint8Array<ArrayBuffer>, msMax: number): Promise<Uint8Array> {
  // Bun unpacks nothing to nothing.
  if (packed.length === 0) throw notGzip()
  try {
    const unpacked = inPieces(packed).pipeThrough(new DecompressionStream('gzip'))
    return await collect(unpacked, ROOM_BYTES_MIN, msMax)
  } catch (error) {
    if (error instanceof EdgeError) throw error
    throw notGzip()
  }
}

/** The bytes as a stream that hands out the next piece when the last one was taken. */
function inPieces(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) {
        controller.close()
        return
      }
      controller.enqueue(bytes.subarray(at, at + PIECE_BYTES))
      at += PIECE_BYTES
    },
  })
}

/** The whole of a stream, in one buffer: pieces of a byte each, kept, would take a hundred times. */
async function collect(
  stream: ReadableStream<Uint8Array>,
  expectedBytes: number,
  msMax: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let room = new Uint8Array(expectedBytes)
  const length = await consume(stream, msMax, (piece, at) => {
    if (at + piece.length > room.length) {
      const larger = new Uint8Array(Math.max(at + piece.length, room.length * 2))
      larger.set(room.subarray(0, at))
      room = larger
    }
    room.set(piece, at)
  })
  return room.subarray(0, length)
}

/**
 * Reads a stream to its end, or until it is too much or too late: a gzip bomb is never unpacked
 * whole. @returns its length, bytes
 */
async function consume(
  stream: ReadableStream<Uint8Array>,
  msMax: number,
  take: (piece: Uint8Array, at: number) => void,
): Promise<number> {
  const reader = stream.getReader()
  let isGivenUp = false
  const read = async (): Promise<number> => {
    let length = 0
    for (;;) {
      const { done, value } = await reader.read()
      if (done || isGivenUp) return length
      if (length + value.length > BODY_BYTES_MAX) throw tooLarge()
      take(value, length)
      length += value.length
    }
  }
  const giveUp = (): void => {
    isGivenUp = true
    // Not awaited: a peer that stalls must not hold the answer up.
    void reader.cancel().catch(() => {})
  }
  const length = await inTime(read(), msMax).catch((error) => {
    giveUp()
    throw error
  })
  if (length !== LATE) return length
  giveUp()
  throw new EdgeError('body-too-slow', 'the body did not come in time; try again', 1)
}
