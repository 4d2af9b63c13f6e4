/**
 * Drains with known content: each posts its app's router lines as Logplex does (one frame in flight,
 * tries of 5 s under one Frame-Id), and now and then sends a frame again that was taken already.
 */
import { type DrainKey, drainSecret } from '../../core/credential.ts'
import { frame, routerLine } from '../generator.ts'
import { add, type Request, type Tally } from './truth.ts'

const TRY_MS_MAX = 5000
const RETRY_PAUSE_MS = 300
/** Logplex gives a frame up after as many; the others go on, so that the truth is exact. */
const TRIES_OF_LOGPLEX = 3
/** Share of frames that are sent again after they were taken, and how much later at most. */
const RESENT_SHARE = 0.08
const RESENT_AFTER_MS_MAX = 20_000
/** Messages that a resend's L10 line tells of. */
const L10_MESSAGES = 3
const LINES_MAX = 200
const IDLE_MS = 100

export interface Load {
  edgeUrl: string
  key: DrainKey
  /** Requests a second, of each drain. */
  rate: number
  random: () => number
}

interface Frame {
  id: string
  body: string
  count: number
}

export class Drain {
  /** What was answered with 2xx, and what was given up. */
  readonly acked: Tally = new Map()
  readonly maybe: Tally = new Map()
  /** Requests answered so far, and when: for freshness. */
  readonly answers: { requests: number; atMs: number }[] = []
  requests = 0
  resends = 0
  /** For the ledger: messages, and those that L10 lines told of, at least and at most. */
  readonly messages = { least: 0, most: 0 }
  readonly lostL10 = { least: 0, most: 0 }
  refusals = new Map<string, number>()
  private readonly again: Promise<void>[] = []

  /** @param givesUp as Logplex does; its lines are then ones of which nobody knows */
  constructor(
    readonly app: string,
    readonly givesUp: boolean,
    private readonly load: Load,
  ) {}

  /** Posts until `stop`; resolves when every frame is answered or given up. */
  async run(stop: AbortSignal): Promise<void> {
    const authorization = `Basic ${btoa(
      `${this.app}:${await drainSecret(this.load.key, this.app, 'chaos')}`,
    )}`
    const startMs = Date.now()
    let made = 0
    while (!stop.aborted) {
      const due = Math.floor(((Date.now() - startMs) / 1000) * this.load.rate) - made
      if (due < 1) {
        await Bun.sleep(IDLE_MS)
        continue
      }
      const requests = this.makeRequests(Math.min(due, LINES_MAX))
      made += requests.length
      await this.deliver(authorization, requests)
    }
    await Promise.all(this.again)
  }

  private makeRequests(count: number): Request[] {
    const { random } = this.load
    return Array.from({ length: count }, () => ({
      app: this.app,
      process: random() < 0.8 ? 'web' : 'api',
      timeMs: Date.now() - Math.floor(random() * 2000),
      service: Math.floor(4 * 1.5 ** (random() * 20)),
      connect: Math.floor(random() * 4),
      status: [200, 200, 200, 304, 404, 500][Math.floor(random() * 6)] ?? 200,
      bytes: Math.floor(random() * 100_000),
    }))
  }

  private async deliver(authorization: string, requests: Request[]): Promise<void> {
    const lines = requests.map((request) =>
      frame(routerLine(request.timeMs, { ...request, dyno: `${request.process}.1` })),
    )
    const sent: Frame = { id: crypto.randomUUID(), body: lines.join(''), count: lines.length }
    this.messages.most += sent.count
    for (let tries = 1; ; tries++) {
      if (await this.post(authorization, sent)) break
      if (this.givesUp && tries === TRIES_OF_LOGPLEX) {
        for (const request of requests) add(this.maybe, request)
        return
      }
      await Bun.sleep(RETRY_PAUSE_MS)
    }
    this.messages.least += sent.count
    for (const request of requests) add(this.acked, request)
    this.requests += requests.length
    this.answers.push({ requests: this.requests, atMs: Date.now() })
    if (this.load.random() < RESENT_SHARE) this.again.push(this.resend(authorization, sent))
  }

  /** As after an answer that was lost on its way; the new body may have an L10 line in front. */
  private async resend(authorization: string, sent: Frame): Promise<void> {
    await Bun.sleep(this.load.random() * RESENT_AFTER_MS_MAX)
    const l10 =
      `<172>1 ${new Date().toISOString().slice(0, 19)}+00:00 host heroku logplex - Error L10 ` +
      `(output buffer overflow): ${L10_MESSAGES} messages dropped since 2026-01-01T00:00:00+00:00.`
    const withLoss = this.load.random() < 0.5
    const body = withLoss ? frame(l10) + sent.body : sent.body
    this.resends += 1
    const again = { ...sent, body, count: sent.count + (withLoss ? 1 : 0) }
    const isTaken = await this.post(authorization, again)
    if (!withLoss) return
    // Where the first copy waits in the spool, this one may count in its place, with its line more.
    this.messages.most += 1
    this.lostL10.most += L10_MESSAGES
    if (isTaken) this.lostL10.least += L10_MESSAGES
  }

  private async post(authorization: string, { id, body, count }: Frame): Promise<boolean> {
    let refusal: string
    try {
      const response = await fetch(`${this.load.edgeUrl}/drains/heroku`, {
        method: 'POST',
        headers: {
          authorization,
          'content-type': 'application/logplex-1',
          'logplex-frame-id': id,
          'logplex-drain-token': `d.${this.app}`,
          'logplex-msg-count': String(count),
        },
        body,
        signal: AbortSignal.timeout(TRY_MS_MAX),
      })
      await response.body?.cancel()
      if (response.ok) return true
      refusal = String(response.status)
    } catch (error) {
      // The edge was killed, or hung: as Logplex, we can't know what became of it.
      const isTimeout = error instanceof Error && error.name === 'TimeoutError'
      refusal = isTimeout ? 'no answer in time' : 'cut'
    }
    this.refusals.set(refusal, (this.refusals.get(refusal) ?? 0) + 1)
    return false
  }
}
