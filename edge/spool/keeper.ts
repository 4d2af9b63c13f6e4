/** Holds on to a burst: in the log, or in the spool while the log does not take it. */
import { type Burst, encodeBurst } from '../../core/burst.ts'
import { EdgeError } from '../errors.ts'
import type { Outcome, Sink, SinkRecord } from '../sinks/sink.ts'
import { inTime, LATE } from '../time.ts'
import { Breaker } from './breaker.ts'
import { type Spool, spoolName } from './spool.ts'

export const RAW_TOPIC = 'raw'

/**
 * Kafka takes records of 1,048,588 bytes, and base64 makes 4 of 3. Only a large body that is made of
 * tiny metrics comes near: Logplex aims at 100 KiB, a body has at most 768.
 */
const RECORD_BYTES_MAX = 780_000

/** At the end of a request the spool has this long: R2 takes a put in 50 ms, seldom in 500. */
export const SPOOL_MS = 1200

/** However slowly the body came, the log gets this long: a write on one machine takes 10 ms. */
const PRODUCE_MS_MIN = 300

export interface KeeperOptions {
  sink: Sink
  /** Without one, what the log does not take is refused. */
  spool: Spool | undefined
  /** A clock that is never set, ms: performance.now(). */
  now: () => number
}

export class Keeper {
  private readonly breaker = new Breaker()
  private wasRecovered = false

  constructor(private readonly options: KeeperOptions) {}

  /**
   * Resolves when the burst is durable.
   * @param untilMs by when to answer, by the clock of the options
   * @throws EdgeError body-too-large, log-unavailable
   */
  async keep(burst: Burst, untilMs: number): Promise<void> {
    const record = { key: burst.app, value: encodeBurst(burst) }
    if (record.value.length > RECORD_BYTES_MAX) throw tooLarge()
    const { spool, now } = this.options
    if (spool === undefined) {
      if ((await this.produce(record, untilMs - now())) === 'ok') return
    } else {
      const isTried = this.breaker.admits(now())
      if (isTried && (await this.tryLog(record, untilMs - SPOOL_MS)) === 'ok') return
      if (await isPut(spool, burst, record, untilMs - now())) return
    }
    throw new EdgeError('log-unavailable', 'the log did not take the burst in time; try again', 1)
  }

  /** Whether the log came back since this was last asked: the spool can be drained then. */
  hasRecovered(): boolean {
    const was = this.wasRecovered
    this.wasRecovered = false
    return was
  }

  private async tryLog(record: SinkRecord, untilMs: number): Promise<Outcome> {
    const { now } = this.options
    const outcome = await this.produce(record, untilMs - now())
    if (outcome === 'retry') this.breaker.failed(now())
    else if (this.breaker.succeeded()) this.wasRecovered = true
    return outcome
  }

  private async produce(record: SinkRecord, budgetMs: number): Promise<Outcome> {
    const ms = Math.max(budgetMs, PRODUCE_MS_MIN)
    const [outcome = 'retry'] = await this.options.sink.produce(RAW_TOPIC, [record], ms)
    if (outcome === 'reject') throw tooLarge()
    return outcome
  }
}

async function isPut(
  spool: Spool,
  burst: Burst,
  { value }: SinkRecord,
  ms: number,
): Promise<boolean> {
  try {
    const result = await inTime(spool.put(spoolName(burst), value), Math.max(ms, 0))
    if (result !== LATE) return true
    console.error('edge: the spool did not take a burst in time')
  } catch (error) {
    console.error(`edge: the spool did not take a burst: ${error}`)
  }
  return false
}

const tooLarge = (): EdgeError =>
  new EdgeError('body-too-large', 'what the body holds does not fit in one record')
