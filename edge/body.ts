/** The bytes of a request's body: bounded in size and time, and unpacked where they are gzip. */
import { EdgeError } from './errors.ts'
import { inTurn } from './limits-unpacking.ts'
import { inTime, LATE } from './time.ts'

/**
 * Seven times what Logplex aims at (http_drain_target_bytes, 102,400); as it is and unpacked. The
 * record stays below Kafka's 1,048,588: 28 bytes of columns for a shortest frame of 32, as base64.
 */
export const BODY_BYTES_MAX = 786_432

/**
 * Of a packed body: 768 KiB of log text are 100 KB of gzip. What packs worse is no log, and would be
 * unpacked for long: workerd takes up to 0.1 ms a piece.
 */
export const PACKED_BYTES_MAX = 131_072

/** Room for a body whose length nobody said; it grows from there. */
const ROOM_BYTES_MIN = 65_536

/** A sender that is refused may write on for so long before its connection is left to the runtime. */
const DISCARD_MS_MAX = 2000

/**
 * workerd unpacks what it is given at once, up to 1,032 bytes from each (deflate's bound), and takes
 * a piece for each 4 KiB that are read: so a bomb is stopped at 26 MB, where whole it is 135 MB.
 */
const PIECE_BYTES = 128

/**
 * workerd ends with its answer what is left of a request. Bun and Deno go on taking a body that is
 * late, so it has to be read in a way that can be cancelled: else it takes memory that is not counted.
 */
const ENDS_WITH_ANSWER = globalThis.navigator?.userAgent === 'Cloudflare-Workers'

/** Asks for so many bytes of memory in all, for one body. @throws EdgeError where there are none */
export type Reserve = (bytes: number) => void

function contentLength(headers: Headers): number | undefined {
  const text = headers.get('content-length') ?? ''
  return /^\d+$/.test(text) ? Number(text) : undefined
}

/**
 * @param untilMs a body that is not here whole by then is given up; by performance.now()
 * @throws EdgeError body-too-large, bad-encoding, body-too-slow, body-cut-off, and what `reserve` does
 */
export async function readBody(
  request: Request,
  untilMs: number,
  reserve: Reserve,
): Promise<Uint8Array> {
  const encoding = (request.headers.get('content-encoding') ?? 'identity').toLowerCase()
  if (encoding !== 'identity' && encoding !== 'gzip') {
    throw new EdgeError(
      'bad-encoding',
      `Content-Encoding ${encoding.slice(0, 32)} is not taken: gzip or none`,
    )
  }
  const bytesMax = encoding === 'gzip' ? PACKED_BYTES_MAX : BODY_BYTES_MAX
  const length = contentLength(request.headers)
  const bytes = length ?? ROOM_BYTES_MIN
  if (bytes > bytesMax) throw tooLarge(bytesMax)
  if (ENDS_WITH_ANSWER && length !== undefined && encoding === 'identity') {
    reserve(length)
    return await readWhole(request, untilMs)
  }
  const body = await collect(request.body, { bytes, bytesMax, untilMs, reserve }, cutOff)
  if (encoding !== 'gzip') return body
  // Bun unpacks nothing to nothing.
  if (body.length === 0) throw notGzip()
  const unpacked = await inTurn(() => unpack(body, untilMs, reserve), untilMs)
  if (unpacked === undefined) throw tooSlow()
  return unpacked
}

/**
 * A body whose length was said, at once: HTTP lets no more come. In pieces, as workerd hands them out,
 * a request of 100 lines took half as much CPU again. One that is late can't be cancelled.
 */
async function readWhole(request: Request, untilMs: number): Promise<Uint8Array> {
  const leftMs = untilMs - performance.now()
  const body = await inTime(request.arrayBuffer(), leftMs).catch(() => {
    throw cutOff()
  })
  if (body === LATE) throw tooSlow()
  if (body.byteLength > BODY_BYTES_MAX) throw tooLarge(BODY_BYTES_MAX)
  return new Uint8Array(body)
}

/**
 * Reads a body that nobody wants, up to the limit, and holds none of it: with bytes unread, workerd
 * cuts the connection, and a sender that is still writing never sees the answer.
 */
export async function discardBody(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed) return
  const untilMs = performance.now() + DISCARD_MS_MAX
  await consume(request.body, { bytesMax: BODY_BYTES_MAX, untilMs }, () => {}).catch(() => {})
}

const tooLarge = (bytesMax: number): EdgeError =>
  new EdgeError('body-too-large', `a body has at most ${bytesMax} bytes`)

const notGzip = (): EdgeError =>
  new EdgeError('bad-encoding', 'the body is not gzip, or ends too early')

const tooSlow = (): EdgeError =>
  new EdgeError('body-too-slow', 'the body did not come in time; try again', 1)

const cutOff = (): EdgeError =>
  new EdgeError('body-cut-off', 'the body ends too early; try again', 1)

async function unpack(
  packed: Uint8Array<ArrayBuffer>,
  untilMs: number,
  reserve: Reserve,
): Promise<Uint8Array> {
  const unpacked = inPieces(packed).pipeThrough(new DecompressionStream('gzip'))
  const limits = {
    bytes: ROOM_BYTES_MIN,
    bytesMax: BODY_BYTES_MAX,
    untilMs,
    reserve: (bytes: number) => reserve(packed.length + bytes),
  }
  return await collect(unpacked, limits, notGzip)
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

/** How far a stream is read: a gzip bomb is never unpacked whole. */
interface Bounds {
  bytesMax: number
  /** By performance.now(), which nobody sets back. */
  untilMs: number
}

interface Room extends Bounds {
  /** For which there is room at first. */
  bytes: number
  reserve: Reserve
}

/**
 * The whole of a stream, in one buffer: pieces of a byte each, kept, would take a hundred times.
 * @param broken what is thrown where the stream fails
 */
async function collect(
  stream: ReadableStream<Uint8Array> | null,
  { bytes, reserve, ...bounds }: Room,
  broken: () => EdgeError,
): Promise<Uint8Array<ArrayBuffer>> {
  if (stream === null) return new Uint8Array()
  const roomOf = (wanted: number): Uint8Array<ArrayBuffer> => {
    reserve(wanted)
    return new Uint8Array(wanted)
  }
  let room = roomOf(bytes)
  const take = (piece: Uint8Array, at: number): void => {
    if (at + piece.length > room.length) {
      const larger = roomOf(Math.min(Math.max(at + piece.length, room.length * 2), bounds.bytesMax))
      larger.set(room.subarray(0, at))
      room = larger
    }
    room.set(piece, at)
  }
  const length = await consume(stream, bounds, take).catch((error) => {
    throw error instanceof EdgeError ? error : broken()
  })
  return room.subarray(0, length)
}

/** Reads a stream to its end, or until it is too much or too late. @returns its length, bytes */
async function consume(
  stream: ReadableStream<Uint8Array>,
  { bytesMax, untilMs }: Bounds,
  take: (piece: Uint8Array, at: number) => void,
): Promise<number> {
  const reader = stream.getReader()
  let isGivenUp = false
  const read = async (): Promise<number> => {
    let length = 0
    for (;;) {
      const { done, value } = await reader.read()
      if (done || isGivenUp) return length
      if (length + value.length > bytesMax) throw tooLarge(bytesMax)
      take(value, length)
      length += value.length
    }
  }
  const giveUp = (): void => {
    isGivenUp = true
    // Not awaited: a peer that stalls must not hold the answer up.
    void reader.cancel().catch(() => {})
  }
  const length = await inTime(read(), untilMs - performance.now()).catch((error) => {
    giveUp()
    throw error
  })
  if (length !== LATE) return length
  giveUp()
  throw tooSlow()
}
