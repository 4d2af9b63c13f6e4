/** Sends one and the same request over and over, on several connections, as fast as it is answered. */

export interface Load {
  requests: number
  /** Those that were not answered with 204. */
  failed: number
  ms: number
}

const CONNECTIONS = 16

/** How long an answer may take in all: then the load fails. */
const PATIENCE_MS = 10_000

interface Connection {
  answer: string
}

/** @param forMs how long requests are sent; those on their way are waited for */
export async function load(url: string, request: Uint8Array, forMs: number): Promise<Load> {
  const { hostname, port } = new URL(url)
  const startMs = performance.now()
  const done = { requests: 0, failed: 0 }
  const open = Array.from({ length: CONNECTIONS }, async () => {
    const ended = Promise.withResolvers<void>()
    const socket = await Bun.connect<Connection>({
      ...{ hostname, port: Number(port), data: { answer: '' } },
      socket: {
        data(connection, bytes) {
          connection.data.answer += bytes.toString('latin1')
          // A 204 has no body: its head is all of it.
          if (!connection.data.answer.includes('\r\n\r\n')) return
          done.requests += 1
          if (!connection.data.answer.startsWith('HTTP/1.1 204')) done.failed += 1
          connection.data.answer = ''
          if (performance.now() - startMs < forMs) send(connection)
          else connection.end()
        },
        drain(connection) {
          flush(connection)
        },
        close: () => ended.resolve(),
        error: (_, error) => ended.reject(error),
      },
    })
    send(socket)
    await ended.promise
  })
  const late = AbortSignal.timeout(forMs + PATIENCE_MS)
  const tooLate = new Promise<never>((_, reject) => {
    late.addEventListener('abort', () => reject(new Error('requests are not answered')))
  })
  await Promise.race([Promise.all(open), tooLate])
  return { ...done, ms: performance.now() - startMs }

  /** Writes the request, as much of it as goes now; the rest when there is room. */
  function send(socket: Bun.Socket<Connection>): void {
    unsent.set(socket, request)
    flush(socket)
  }
  function flush(socket: Bun.Socket<Connection>): void {
    const rest = unsent.get(socket)
    if (rest === undefined || rest.length === 0) return
    unsent.set(socket, rest.subarray(socket.write(rest)))
  }
}

const unsent = new WeakMap<Bun.Socket<Connection>, Uint8Array>()

/** A POST as bytes. */
export function post(url: string, headers: Record<string, string>, body: Uint8Array): Uint8Array {
  const { pathname, host } = new URL(url)
  const all = { host, 'content-length': String(body.length), ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = new TextEncoder().encode(`POST ${pathname} HTTP/1.1\r\n${lines.join('')}\r\n`)
  return Buffer.concat([head, body])
}
