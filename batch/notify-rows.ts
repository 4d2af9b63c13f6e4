/**
 * shelf.deliveries: the tries of the topic deliveries as rows, a row a message. Nothing depends on
 * them: they come when PostgreSQL is there.
 */
import type { Log } from '../broker/log.ts'
import type { Sql, Transaction } from '../db/client.ts'
import { patiently } from './loop.ts'
import { DELIVERIES, DELIVERIES_PARTITION, parseDelivery, type Try } from './notify-record.ts'

const IDLE_WAIT_MS = 10_000
const LIST_ROWS_MAX = 200

export interface Delivery {
  key: string
  triedAt: Date
  outcome: Try['outcome']
  tries: number
  target: string
  title: string
  error: string | null
}

/** Writes rows until `signal`. */
export async function persistDeliveries(log: Log, sql: Sql, signal: AbortSignal): Promise<void> {
  await patiently('notify rows', signal, async (succeeded) => {
    while (!signal.aborted) {
      await persistStep(log, sql, signal)
      succeeded()
    }
  })
}

async function persistStep(log: Log, sql: Sql, signal: AbortSignal): Promise<void> {
  const place = await placeOf(sql)
  const found = await log.read(DELIVERIES, DELIVERIES_PARTITION, place, {
    ...{ waitMs: IDLE_WAIT_MS, signal },
  })
  const last = found.at(-1)
  if (last === undefined) {
    // The topic was made anew: rows that are there already stay as they are.
    const latest = await log.offsetAt(DELIVERIES, DELIVERIES_PARTITION, 'latest')
    if (latest < place) await moveTo(sql, 0)
    return
  }
  const tries = found.map(parseDelivery).filter((record) => record?.kind === 'try')
  await sql.begin(async (transaction) => {
    for (const record of tries) await write(transaction, record)
    await moveTo(transaction, last.offset + 1)
  })
}

async function placeOf(sql: Sql): Promise<number> {
  const [row] = await sql<{ next: number }[]>`
    select next_offset as next from shelf.delivery_progress`
  return row?.next ?? 0
}

async function moveTo(sql: Sql | Transaction, next: number): Promise<void> {
  await sql`update shelf.delivery_progress set next_offset = ${next}, updated_at = now()`
}

/** Who reads a try a second time changes nothing: of a message, the last word stands. */
async function write(sql: Transaction, record: Try): Promise<void> {
  const { key, outcome, tries, at, retryAt, error, target, severity, title, apps, items } = record
  const deliveredAt = outcome === 'delivered' ? at : null
  await sql`
    insert into shelf.deliveries as known (
      key, target, severity, title, apps, items, created_at,
      outcome, tries, tried_at, retry_at, delivered_at, error
    ) values (
      ${key}, ${target}, ${severity}, ${title}, ${apps}, ${items}, ${record.messageAt},
      ${outcome}, ${tries}, ${at}, ${retryAt}, ${deliveredAt}, ${error}
    )
    on conflict (key) do update set
      outcome = excluded.outcome, tries = excluded.tries, tried_at = excluded.tried_at,
      retry_at = excluded.retry_at, delivered_at = excluded.delivered_at, error = excluded.error
    where known.outcome = 'failed' and known.tried_at <= excluded.tried_at`
}

/** The newest first. */
export async function listDeliveries(
  sql: Sql,
  { onlyFailed }: { onlyFailed: boolean },
): Promise<Delivery[]> {
  return await sql<Delivery[]>`
    select key, tried_at as "triedAt", outcome, tries, target, title, error
    from shelf.deliveries ${onlyFailed ? sql`where outcome <> 'delivered'` : sql``}
    order by tried_at desc, key limit ${LIST_ROWS_MAX}`
}
