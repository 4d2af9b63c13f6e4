/** The client of PostgreSQL: what is cut off fails, and the next query has a connection again. */
import { expect, test } from 'bun:test'
import { isPassing } from '../batch/loop.ts'
import { connect } from '../db/client.ts'
import { onEachPostgres } from './sql-server.ts'

/** Nothing is read meanwhile, as in a process that is frozen. */
function freeze(ms: number): void {
  const untilMs = performance.now() + ms
  while (performance.now() < untilMs);
}

onEachPostgres((newDatabase) => {
  // Without patches/postgres@3.4.9.patch: an error that nobody can catch, and CONNECT_TIMEOUT for ever.
  test('a transaction that the server ends at any moment fails, and the next one goes on', async () => {
    const sql = connect(await newDatabase(), { max: 1 })
    let failed = 0
    for (let n = 0; n < 60; n++) {
      const wait = n % 2 === 0 ? freeze : Bun.sleep
      const failure = await sql
        .begin(async (transaction) => {
          await transaction`set local idle_in_transaction_session_timeout = '30ms'`
          await wait(n < 4 ? 300 : 20 + (n % 10) * 3)
          await transaction`select 1`
        })
        .then(
          () => undefined,
          (error) => error,
        )
      if (failure !== undefined) {
        failed += 1
        expect(isPassing(failure)).toBe(true)
      }
      expect([...(await sql`select ${n}::int as n`)]).toEqual([{ n }])
    }
    expect(failed).toBeGreaterThan(3)
    await sql.end()
  })
})
