/** An HTTP server on a bare socket, for it can break an answer off wherever a network does. */
import { createServer, type Socket } from 'node:net'

export interface Asked {
  method: string
  path: string
  headers: Headers
  body: string
}

export interface Reply {
  status: number
  headers?: Record<string, string>
  body: string
  /** In chunks of a few bytes, with no length told. */
  chunked?: boolean
}

/** What a record comes to: it is written, or fails with a code of the server's own. */
export type Verdict = 'write' | number

/** What befalls one request. `request`: before it is heeded; `answer`: after, with no byte said. */
export type Fault =
  | { kind: 'cut' | 'hang'; at: 'request' | 'answer' | 'body' }
  /** The answer comes byte by byte, too slowly for any budget here. */
  | { kind: 'slow'; at: 'body' }
  /** Nothing is heeded, and an answer comes that never ends. */
  | { kind: 'endless'; piece: string }
  /** Nothing is heeded: something before the server answers. */
  | { kind: 'reply'; reply: Reply }
  /** One a record; those that are missing are written. `reports`: how many records are told of. */
  | { kind: 'records'; verdicts: readonly Verdict[]; reports?: number }

export interface Wire {
  port: number
  /** What befalls the next requests, one each; then `always`, or nothing. */
  faults: Fault[]
  always: Fault | undefined
  /** Bytes that an endless answer came to. */
  endlessBytes: number
  connections: number
  requests: number
  /** Waits until the other side has closed each connection that was left hanging. */
  untilLetGo(): Promise<void>
  stop(): void
}

const PIECE_CHARS = 7
const SLOW_MS = 50

export async function startWire(
  answer: (asked: Asked, fault: Fault | undefined) => Reply | Promise<Reply>,
): Promise<Wire> {
  const sockets = new Set<Socket>()
  const left: Promise<void>[] = []
  const server = createServer((socket) => {
    sockets.add(socket)
    wire.connections++
    const closed = new Promise<void>((resolve) => {
      socket.on('close', () => {
        sockets.delete(socket)
        resolve()
      })
    })
    socket.on('error', () => {})
    let received = Buffer.alloc(0)
    socket.on('data', async (bytes) => {
      received = Buffer.concat([received, Buffer.from(bytes)])
      const asked = parsed(received)
      if (asked === undefined) return
      received = Buffer.alloc(0)
      wire.requests++
      const fault = wire.faults.shift() ?? wire.always
      if (fault?.kind === 'hang' || fault?.kind === 'slow') left.push(closed)
      await meet(socket, asked, fault)
    })
  })

  async function meet(socket: Socket, asked: Asked, fault: Fault | undefined): Promise<void> {
    if (fault?.kind === 'endless') return endless(socket, fault.piece)
    if (fault?.kind === 'hang' && fault.at === 'request') return
    if (fault?.kind === 'cut' && fault.at === 'request') return void socket.destroy()
    const reply = fault?.kind === 'reply' ? fault.reply : await answer(asked, fault)
    if (fault?.kind === 'hang' && fault.at === 'answer') return
    if (fault?.kind === 'cut' && fault.at === 'answer') return void socket.destroy()
    const pieces = bodyPieces(reply)
    socket.write(head(reply))
    if (fault?.kind === 'slow') return trickle(socket, pieces)
    const broken = fault?.kind === 'cut' || fault?.kind === 'hang'
    const said = broken ? pieces.slice(0, Math.floor(pieces.length / 2)) : pieces
    for (const piece of said) {
      socket.write(piece)
      if (reply.chunked) await new Promise(setImmediate)
    }
    if (fault?.kind === 'cut') socket.destroySoon()
  }

  function trickle(socket: Socket, pieces: string[]): void {
    const bytes = [...pieces.join('')]
    const timer = setInterval(() => socket.write(bytes.shift() ?? ' '), SLOW_MS)
    socket.on('close', () => clearInterval(timer))
  }

  function endless(socket: Socket, piece: string): void {
    const chunk = `${piece.length.toString(16)}\r\n${piece}\r\n`
    const more = (): void => {
      while (!socket.destroyed && socket.write(chunk)) wire.endlessBytes += piece.length
    }
    socket.on('drain', more)
    socket.write(head({ status: 200, body: '', chunked: true }))
    more()
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const wire: Wire = {
    port: address.port,
    faults: [],
    always: undefined,
    endlessBytes: 0,
    connections: 0,
    requests: 0,
    async untilLetGo() {
      await Promise.all(left)
    },
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  return wire
}

/** The request, once it is there with its body. */
function parsed(bytes: Buffer): Asked | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [first = '', ...lines] = bytes.subarray(0, end).toString().split('\r\n')
  const [method = '', path = ''] = first.split(' ')
  const headers = new Headers(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    }),
  )
  const body = bytes.subarray(end + 4)
  if (body.length < Number(headers.get('content-length'))) return undefined
  return { method, path, headers, body: body.toString() }
}

function head({ status, headers = {}, body, chunked }: Reply): string {
  const length = chunked
    ? 'transfer-encoding: chunked'
    : `content-length: ${Buffer.byteLength(body)}`
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return [`HTTP/1.1 ${status} Status`, length, ...lines, '', ''].join('\r\n')
}

function bodyPieces({ body, chunked }: Reply): string[] {
  const count = Math.ceil(body.length / PIECE_CHARS)
  const pieces = Array.from({ length: count }, (_, at) =>
    body.slice(at * PIECE_CHARS, (at + 1) * PIECE_CHARS),
  )
  if (!chunked) return pieces
  return [...pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`), '0\r\n\r\n']
}
