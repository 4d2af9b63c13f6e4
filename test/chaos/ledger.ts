/** What the ledger must say after chaos: each message once, each loss that was told, none of our own. */
import type { Sql } from '../../db/client.ts'
import type { Drain } from './drains.ts'

interface Sums {
  app: string
  /** Received, without duplicates. */
  messages: number
  lostL10: number
  /** What our own log lost, or may have counted twice. */
  faults: number
}

/** Where the ledger says something else than the drains, in words. */
export async function ledgerProblems(sql: Sql, drains: readonly Drain[]): Promise<string[]> {
  const rows = await sql<Sums[]>`
    select app, sum(received - duplicates)::float8 as messages, sum(lost_l10)::float8 as "lostL10",
      sum(lost_log + log_replaced + repartitioned + dead_letters)::float8 as faults
    from shelf.ledger_1m group by app`
  const problems = rows
    .filter(({ faults }) => faults > 0)
    .map(({ app, faults }) => `the ledger of '${app}' tells of ${faults} faults that were none`)
  for (const { app, messages, lostL10 } of drains) {
    const row = rows.find((each) => each.app === app)
    for (const [name, have, { least, most }] of [
      ['messages', row?.messages ?? 0, messages],
      ['messages lost before us', row?.lostL10 ?? 0, lostL10],
    ] as const) {
      if (have >= least && have <= most) continue
      problems.push(`the ledger of ${app} has ${have} ${name}, should be ${least} to ${most}`)
    }
  }
  return problems
}
