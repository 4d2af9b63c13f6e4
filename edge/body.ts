/** The bytes of a request's body: bounded, and unpacked where they are gzip. */
import { EdgeError } from './errors.ts'

/**
 * Seven times what Logplex aims at (http_drain_target_bytes, 102,400); as it is and unpacked. The
 * record stays below Kafka's 1,048,588: 28 bytes of columns for a shortest frame of 32, as base64.
 */
export const BODY_BYTES_MAX = 786_432

/**
 * workerd unpacks what it is given at once, up to 1,032 bytes from each (deflate's bound), and takes
 * a piece for each 4 KiB that are read: so a bomb is stopped at 13 MB, where whole it made 1 GB.
 */
const PIECE_BYTES = 64

/** @throws EdgeError body-too-large, bad-encoding */
export async function readBody(request: Request): Promise<Uint8Array> {
  const encoding = (request.headers.get('content-encoding') ?? 'identity').toLowerCase()
  if (encoding !== 'identity' && encoding !== 'gzip') {
    throw new EdgeError(
      'bad-encoding',
      `Content-Encoding ${encoding.slice(0, 32)} is not taken: gzip or none`,
    )
  }
  if (Number(request.headers.get('content-length')) > BODY_BYTES_MAX) throw tooLarge()
  if (request.body === null) return new Uint8Array()
  if (encoding === 'identity') return await collect(request.body)
  const packed = inPieces(await collect(request.body))
  try {
    return await collect(packed.pipeThrough(new DecompressionStream('gzip')))
  } catch (error) {
    if (error instanceof EdgeError) throw error
    throw new EdgeError('bad-encoding', 'the body is not gzip, or ends too early')
  }
}

/**
 * Reads a body that nobody wants, up to the limit: with bytes unread, workerd cuts the connection,
 * and a sender that is still writing never sees the answer.
 */
export async function discardBody(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed) return
  await collect(request.body).catch(() => {})
}

const tooLarge = (): EdgeError =>
  new EdgeError('body-too-large', `a body has at most ${BODY_BYTES_MAX} bytes, also unpacked`)

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

/** Reads a stream to its end, or until it is too much: a gzip bomb is never unpacked whole. */
async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > BODY_BYTES_MAX) {
      // Not awaited: a peer that stalls must not hold the answer up.
      void reader.cancel().catch(() => {})
      throw tooLarge()
    }
    chunks.push(value)
  }
  const body = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.length
  }
  return body
}
