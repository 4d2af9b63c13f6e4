/** The client of PostgreSQL: what is cut off fails, and who tries again has a connection. */
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
  test('a transaction that the server ends at any moment fails, and who tries again goes on', async () => {
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
      // Once more it may meet the connection that is just being closed.
      const ask = () => sql<{ n: number }[]>`select ${n}::int as n`
      const [row] = await ask().catch((error) => (isPassing(error) ? ask() : Promise.reject(error)))
      expect(row).toEqual({ n })
    }
    expect(failed).toBeGreaterThan(3)
    await sql.end()
  })

  // Without the patch its statements go on in whatever session comes next, each committed by itself.
  test('a transaction whose session is gone writes nothing more', async () => {
    const sql = connect(await newDatabase(), { max: 1 })
    await sql`create table written (what text)`
    const cut = Promise.withResolvers<void>()
    const tried = Promise.withResolvers<unknown>()
    const failed = sql.begin(async (transaction) => {
      await transaction`set local idle_in_transaction_session_timeout = '30ms'`
      await cut.promise
      await transaction`insert into written values ('late')`.then(tried.resolve, tried.reject)
    })
    expect(isPassing(await failed.catch((error) => error))).toBe(true)
    expect(await sql`select from written`).toHaveLength(0)
    await sql.begin(async (transaction) => {
      await transaction`insert into written values ('next')`
      cut.resolve()
      expect(isPassing(await tried.promise.catch((error) => error))).toBe(true)
    })
    expect([...(await sql`select what from written`)]).toEqual([{ what: 'next' }])
    await sql.end()
  })
})
