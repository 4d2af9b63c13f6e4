/** A Logplex body while it is read: each message goes where it belongs, and into the ledger. */
import { viewOf } from '../../core/ascii.ts'
import {
  addTo,
  addUp,
  count,
  type Ledger,
  type LedgerCount,
  MINUTE_MS,
  minuteOf,
} from '../../core/ledger.ts'
import { emptyMessage, endOfText, isText, parseMessage, startsWith } from '../../core/message.ts'
import { dynoTextStart, Head } from './heroku-head.ts'
import { OutputLines } from './heroku-output.ts'
import { RequestRows } from './heroku-requests.ts'
import { SignalRows, type Verdict } from './heroku-signals.ts'

/** A message from further ahead than this has a wrong clock behind it: it counts as of now. */
const FUTURE_MS = 5 * 60_000

/** What is older came after the minutes of its time were dropped: the tier 1m keeps 7 days. */
const LATE_MS = 7 * 86_400_000

/** `Error L10 (output buffer overflow): 500 messages dropped since …`, and its other wordings. */
const LOSS = /^(?:- )?Error (L1[023])\b.*?\b(\d{1,9}) messages\b/

const LOSS_BYTES_MAX = 256

const LOSS_COUNTS: Record<string, LedgerCount> = {
  L10: 'lostL10',
  L12: 'lostL12',
  L13: 'lostL13',
}

const decoder = new TextDecoder()

export class HerokuBody {
  readonly ledger: Ledger = new Map()
  readonly requests: RequestRows
  readonly signals = new SignalRows()
  private readonly output: OutputLines
  private readonly outputHead: Head
  private readonly requestHead: Head
  private readonly message = emptyMessage()

  constructor(
    private readonly body: Uint8Array,
    private readonly receivedAtMs: number,
  ) {
    const view = viewOf(body)
    this.requests = new RequestRows(body, view)
    this.output = new OutputLines(body)
    this.outputHead = new Head(body, view)
    this.requestHead = new Head(body, view)
  }

  /** Takes a frame: whatever it holds, it is accounted for. */
  take(start: number, end: number): void {
    if (!this.takeRequest(start, end) && !this.takeOutput(start, end)) this.takeMessage(start, end)
  }

  /** Takes a router's line that begins as the last one; false for any other. */
  private takeRequest(start: number, end: number): boolean {
    const { requestHead: head, requests } = this
    const timeMs = head.timeOf(start, end)
    if (timeMs < 0) return false
    const textStart = start + head.length
    const overLimit = requests.overLimit
    if (!requests.add(textStart, endOfText(this.body, textStart, end), timeMs)) {
      this.malformed(1)
      return true
    }
    const { counts } = head
    counts.received = addUp(counts.received ?? 0, 1)
    counts.kept = addUp(counts.kept ?? 0, 1)
    if (requests.overLimit > overLimit) addTo(counts, 'overLimit', 1)
    return true
  }

  /** Takes an app's output that begins as the last one, and says nothing to us; false for any other. */
  private takeOutput(start: number, end: number): boolean {
    const { body, outputHead: head } = this
    if (head.timeOf(start, end) < 0) return false
    const textStart = dynoTextStart(body, start + head.length, end)
    if (textStart < 0 || !this.output.isSilent(textStart, end)) return false
    const { counts } = head
    counts.received = addUp(counts.received ?? 0, 1)
    counts.ignoredOutput = addUp(counts.ignoredOutput ?? 0, 1)
    return true
  }

  private takeMessage(start: number, end: number): void {
    const { body, message, receivedAtMs, signals } = this
    if (!parseMessage(body, start, end, message)) {
      this.malformed(1)
      return
    }
    const timed = !Number.isNaN(message.timeMs)
    const future = timed && message.timeMs > receivedAtMs + FUTURE_MS
    const timeMs = timed && !future ? message.timeMs : receivedAtMs
    const minuteMs = minuteOf(timeMs)
    const unreadable = signals.unreadable
    const overLimit = this.requests.overLimit
    const rows = this.requests.length
    const verdict = this.keep(timeMs, minuteMs, end)
    count(this.ledger, minuteMs, 'unreadable', signals.unreadable - unreadable)
    count(this.ledger, minuteMs, 'overLimit', this.requests.overLimit - overLimit)
    if (verdict === 'malformed') {
      this.malformed(1)
      return
    }
    count(this.ledger, minuteMs, 'received')
    count(this.ledger, minuteMs, verdict)
    // In such a minute no message can be late, or of the future.
    const isPlain =
      timed &&
      !future &&
      minuteMs >= receivedAtMs - LATE_MS &&
      minuteMs + MINUTE_MS <= receivedAtMs + FUTURE_MS
    const counts = this.ledger.get(minuteMs)
    if (isPlain && counts !== undefined) {
      if (verdict === 'ignoredOutput') {
        this.outputHead.remember(start, message.procStart, message, counts)
      } else if (this.requests.length > rows) {
        this.requestHead.remember(start, message.textStart, message, counts)
      }
    }
    if (verdict !== 'kept') return
    if (future) count(this.ledger, minuteMs, 'future')
    if (timeMs < receivedAtMs - LATE_MS) count(this.ledger, minuteMs, 'late')
  }

  /** What can't be read has no time of its own. */
  malformed(messages: number): void {
    const minuteMs = minuteOf(this.receivedAtMs)
    count(this.ledger, minuteMs, 'received', messages)
    count(this.ledger, minuteMs, 'malformed', messages)
  }

  /** Told by source and process, never by priority: Heroku's priorities are not to be relied on. */
  private keep(timeMs: number, minuteMs: number, end: number): LedgerCount {
    const { body, message } = this
    const { appStart, appEnd } = message
    if (isText(body, appStart, appEnd, 'app')) return this.keepOfApp(timeMs, minuteMs, end)
    // Heroku's own metrics pipeline names the app by a token, t.<uuid>, in the place of `heroku`.
    if (isText(body, appStart, appEnd, 'heroku') || startsWith(body, appStart, appEnd, 't.')) {
      return this.keepOfHeroku(timeMs, minuteMs)
    }
    return 'ignoredUnknown'
  }

  private keepOfHeroku(timeMs: number, minuteMs: number): LedgerCount {
    const { body, signals } = this
    const { procStart, procEnd, textStart, textEnd } = this.message
    const isProcess = (name: string): boolean => isText(body, procStart, procEnd, name)
    if (isProcess('router')) {
      return this.requests.add(textStart, textEnd, timeMs) ? 'kept' : 'malformed'
    }
    if (isProcess('logplex') || isProcess('log-shuttle')) return this.keepLoss(timeMs, minuteMs)
    if (isProcess('api')) return ledgerCount(signals.addApi(this.text(), timeMs))
    return ledgerCount(signals.addDyno(this.process(), this.text(), timeMs))
  }

  private keepOfApp(timeMs: number, minuteMs: number, end: number): LedgerCount {
    const { body, signals } = this
    const { procStart, procEnd } = this.message
    if (isText(body, procStart, procEnd, 'log-shuttle')) return this.keepLoss(timeMs, minuteMs)
    if (isText(body, procStart, procEnd, 'api')) {
      return ledgerCount(signals.addApi(this.text(), timeMs))
    }
    if (startsWith(body, procStart, procEnd, 'heroku-')) {
      return ledgerCount(signals.addAddon(this.process(), this.text(), timeMs))
    }
    return this.keepOutput(timeMs, end)
  }

  private keepOutput(timeMs: number, end: number): LedgerCount {
    const { message, output, signals } = this
    let { textStart: start, textEnd } = message
    if (output.maySplit(message, end)) {
      const words = output.wholeWords(message, end, this.process())
      start = words.start
      textEnd = words.end
      if (words.cutMetric) signals.unreadable += 1
    }
    if (!output.mayHoldMetrics(start, textEnd)) return 'ignoredOutput'
    const text = decoder.decode(this.body.subarray(start, textEnd))
    return signals.addOutput(this.process(), text, timeMs) === 'kept' ? 'kept' : 'ignoredOutput'
  }

  private keepLoss(timeMs: number, minuteMs: number): LedgerCount {
    const { textStart, textEnd } = this.message
    const text = decoder.decode(
      this.body.subarray(textStart, Math.min(textEnd, textStart + LOSS_BYTES_MAX)),
    )
    const [, code = '', messages = ''] = LOSS.exec(text) ?? []
    const what = LOSS_COUNTS[code]
    if (what === undefined) return 'ignoredUnknown'
    count(this.ledger, minuteMs, what, Number(messages))
    this.signals.addCounter(code, timeMs, '')
    return 'kept'
  }

  private process(): string {
    return decoder.decode(this.body.subarray(this.message.procStart, this.message.procEnd))
  }

  private text(): string {
    return decoder.decode(this.body.subarray(this.message.textStart, this.message.textEnd))
  }
}

function ledgerCount(verdict: Verdict): LedgerCount {
  return verdict === 'ignored' ? 'ignoredUnknown' : verdict
}
