/** A Logplex body while it is read: each message goes where it belongs, and into the ledger. */
import { count, type Ledger, type LedgerCount, MINUTE_MS, minuteOf } from '../../core/ledger.ts'
import { emptyMessage, isText, parseMessage } from '../../core/message.ts'
import { OutputHead } from './heroku-head.ts'
import { OutputLines, startsWith } from './heroku-output.ts'
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
  readonly requests = new RequestRows()
  readonly signals = new SignalRows()
  private readonly output: OutputLines
  private readonly outputHead: OutputHead
  private readonly message = emptyMessage()

  constructor(
    private readonly body: Uint8Array,
    private readonly receivedAtMs: number,
  ) {
    this.output = new OutputLines(body)
    this.outputHead = new OutputHead(body)
  }

  /** Takes a frame: whatever it holds, it is accounted for. */
  take(start: number, end: number): void {
    const { body, message, outputHead, receivedAtMs, signals } = this
    const textStart = outputHead.textStart(start, end)
    if (textStart >= 0 && this.output.isSilent(textStart, end)) {
      outputHead.countIgnored()
      return
    }
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
    const verdict = this.keep(timeMs, minuteMs, end)
    count(this.ledger, minuteMs, 'unreadable', signals.unreadable - unreadable)
    count(this.ledger, minuteMs, 'overLimit', this.requests.overLimit - overLimit)
    if (verdict === 'malformed') {
      this.malformed(1)
      return
    }
    count(this.ledger, minuteMs, 'received')
    count(this.ledger, minuteMs, verdict)
    // A minute that is over before FUTURE_MS is one in which no message can be of the future.
    if (
      verdict === 'ignoredOutput' &&
      !future &&
      minuteMs + MINUTE_MS <= receivedAtMs + FUTURE_MS
    ) {
      outputHead.remember(start, message, this.ledger.get(minuteMs) ?? {})
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
      return this.requests.add(body, textStart, textEnd, timeMs) ? 'kept' : 'malformed'
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
