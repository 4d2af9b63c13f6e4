/** The drain of Heroku's Logplex: a body of frames becomes one burst. */
import * as z from 'zod'
import { ABSENT, type Burst, type RequestColumns, requestColumns } from '../../core/burst.ts'
import { count, type Ledger, type LedgerCount, minuteOf } from '../../core/ledger.ts'
import { cutFrames, emptyMessage, isText, type Message, parseMessage } from '../../core/logplex.ts'
import { emptyRouterLine, parseRouterLine } from '../../core/router-line.ts'

export const HEROKU = 'heroku'

/** A message from further ahead than this has a wrong clock behind it: it counts as of now. */
const FUTURE_MS = 5 * 60_000

/** Logplex holds 1,024 messages for a drain, and puts an L10 line before them. */
const MESSAGES_MAX = 1025

/** Where no dyno took a request (H10, H14), it was still meant for this one. */
const ROUTED_PROCESS = 'web'

const shortText = z.string().max(128).catch('')

const headersSchema = z.object({
  frameId: shortText,
  drainToken: shortText,
  /** lpxgen sends one that can't be read: then there is none. */
  messages: z.coerce.number().int().min(0).max(MESSAGES_MAX).catch(0),
})

export type LogplexHeaders = z.infer<typeof headersSchema>

export function logplexHeaders(headers: Headers): LogplexHeaders {
  return headersSchema.parse({
    frameId: headers.get('logplex-frame-id') ?? '',
    drainToken: headers.get('logplex-drain-token') ?? '',
    messages: headers.get('logplex-msg-count') ?? '',
  })
}

/**
 * 16 bytes that are the same for each try of a frame, as hex. Logplex resends under one Frame-Id,
 * with a body that may differ. A sender without Frame-Ids (log-shuttle) resends the same body.
 */
export async function burstId(
  app: string,
  headers: LogplexHeaders,
  body: Uint8Array,
): Promise<string> {
  const { drainToken, frameId } = headers
  const name = new TextEncoder().encode(`${app}\n${drainToken}\n${frameId}`)
  const text = frameId === '' ? concat(name, body) : name
  const digest = await crypto.subtle.digest('SHA-256', text)
  return new Uint8Array(digest, 0, 16).toHex()
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

/** A dictionary of short names that stand as bytes in a body; almost always the last one again. */
class Names {
  private readonly indexes = new Map<string, number>()
  private last = ''

  get list(): string[] {
    return [...this.indexes.keys()]
  }

  indexOf(body: Uint8Array, start: number, end: number): number {
    if (!isText(body, start, end, this.last)) this.last = latin1(body.subarray(start, end))
    return this.indexOfName(this.last)
  }

  indexOfName(name: string): number {
    const index = this.indexes.get(name) ?? this.indexes.size
    this.indexes.set(name, index)
    return index
  }
}

/** A body while it is read. */
class HerokuBurst {
  readonly ledger: Ledger = new Map()
  private readonly message = emptyMessage()
  private readonly line = emptyRouterLine()
  private readonly columns: RequestColumns
  private readonly processes = new Names()
  private readonly codes = new Names()
  private requests = 0

  constructor(
    private readonly body: Uint8Array,
    private readonly receivedAtMs: number,
    frames: number,
  ) {
    this.columns = requestColumns(frames)
  }

  /** Takes a frame: whatever it holds, it is accounted for. */
  take(start: number, end: number): void {
    const { body, message, receivedAtMs } = this
    if (!parseMessage(body, start, end, message)) {
      this.malformed(1)
      return
    }
    const timed = !Number.isNaN(message.timeMs)
    const future = timed && message.timeMs > receivedAtMs + FUTURE_MS
    const timeMs = timed && !future ? message.timeMs : receivedAtMs
    const minuteMs = minuteOf(timeMs)
    const verdict = this.keep(timeMs, minuteMs)
    if (verdict === 'malformed') {
      this.malformed(1)
      return
    }
    count(this.ledger, minuteMs, 'received')
    count(this.ledger, minuteMs, verdict)
    if (future && verdict === 'kept') count(this.ledger, minuteMs, 'future')
  }

  /** What can't be read has no time of its own. */
  malformed(messages: number): void {
    const minuteMs = minuteOf(this.receivedAtMs)
    count(this.ledger, minuteMs, 'received', messages)
    count(this.ledger, minuteMs, 'malformed', messages)
  }

  finish(): RequestColumns {
    const { columns, requests } = this
    return {
      timeMs: columns.timeMs.subarray(0, requests),
      serviceMs: columns.serviceMs.subarray(0, requests),
      connectMs: columns.connectMs.subarray(0, requests),
      status: columns.status.subarray(0, requests),
      bytes: columns.bytes.subarray(0, requests),
      process: columns.process.subarray(0, requests),
      code: columns.code.subarray(0, requests),
      processes: this.processes.list,
      codes: this.codes.list,
    }
  }

  /** Told by source and process, never by priority: Heroku's priorities are not to be relied on. */
  private keep(timeMs: number, minuteMs: number): LedgerCount {
    const { body, message } = this
    const source = sourceOf(body, message)
    if (source === 'router') return this.keepRequest(timeMs)
    if (source === 'loss') return this.keepLoss(minuteMs)
    return source === 'output' ? 'ignoredOutput' : 'ignoredUnknown'
  }

  private keepRequest(timeMs: number): LedgerCount {
    const { body, message, line, columns, requests } = this
    if (!parseRouterLine(body, message.textStart, message.textEnd, line)) return 'malformed'
    columns.timeMs[requests] = timeMs
    columns.serviceMs[requests] = line.serviceMs
    columns.connectMs[requests] = line.connectMs
    columns.status[requests] = line.status
    columns.bytes[requests] = line.bytes
    columns.process[requests] =
      line.processEnd > line.processStart
        ? this.processes.indexOf(body, line.processStart, line.processEnd)
        : this.processes.indexOfName(ROUTED_PROCESS)
    columns.code[requests] =
      line.codeEnd > line.codeStart
        ? this.codes.indexOf(body, line.codeStart, line.codeEnd)
        : ABSENT
    this.requests += 1
    return 'kept'
  }

  private keepLoss(minuteMs: number): LedgerCount {
    const { textStart, textEnd } = this.message
    const text = latin1(
      this.body.subarray(textStart, Math.min(textEnd, textStart + LOSS_BYTES_MAX)),
    )
    const [, code = '', messages = ''] = LOSS.exec(text) ?? []
    const what = LOSS_COUNTS[code]
    if (what === undefined) return 'ignoredUnknown'
    count(this.ledger, minuteMs, what, Number(messages))
    return 'kept'
  }
}

/** `Error L10 (output buffer overflow): 500 messages dropped since …`, and its other wordings. */
const LOSS = /^(?:- )?Error (L1[023])\b.*?\b(\d{1,9}) messages\b/

const LOSS_BYTES_MAX = 256

const LOSS_COUNTS: Record<string, LedgerCount> = {
  L10: 'lostL10',
  L12: 'lostL12',
  L13: 'lostL13',
}

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

function sourceOf(body: Uint8Array, message: Message): 'router' | 'loss' | 'output' | 'unknown' {
  const { appStart, appEnd, procStart, procEnd } = message
  const byApp = isText(body, appStart, appEnd, 'app')
  // Heroku's own metrics pipeline names the app by a token, t.<uuid>, in the place of `heroku`.
  const byHeroku =
    isText(body, appStart, appEnd, 'heroku') ||
    (body[appStart] === 0x74 && body[appStart + 1] === 0x2e)
  if (byHeroku && isText(body, procStart, procEnd, 'router')) return 'router'
  if (byHeroku && isText(body, procStart, procEnd, 'logplex')) return 'loss'
  if ((byApp || byHeroku) && isText(body, procStart, procEnd, 'log-shuttle')) return 'loss'
  return byApp ? 'output' : 'unknown'
}

/** The burst of one request. Reads whatever it is given; what can't be read is counted. */
export async function herokuBurst(
  app: string,
  headers: LogplexHeaders,
  body: Uint8Array,
  receivedAtMs: number,
): Promise<Burst> {
  const bounds: number[] = []
  const cut = cutFrames(body, (start, end) => bounds.push(start, end))
  const burst = new HerokuBurst(body, receivedAtMs, cut.frames)
  for (let i = 0; i < bounds.length; i += 2) burst.take(bounds[i] ?? 0, bounds[i + 1] ?? 0)
  // Where the framing broke, or nothing came, the count tells how many messages we did not see.
  const broken = cut.malformed > 0 || body.length === 0
  const unseen = broken ? headers.messages - cut.frames - cut.malformed : 0
  burst.malformed(cut.malformed + Math.max(0, unseen))
  return {
    id: await burstId(app, headers, body),
    app,
    drain: HEROKU,
    receivedAtMs,
    ledger: burst.ledger,
    requests: burst.finish(),
  }
}
