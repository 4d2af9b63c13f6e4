import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { migrate } from '../batch/migrate.ts'
import { connect, type Sql } from '../db/client.ts'
import { type GeneratedBody, generateBodies, random, type Truth } from './generator.ts'
import { onEachPostgres } from './sql-server.ts'
import { allRows, caughtUp, Restarted, type Stack, shelf, startStack } from './stack.ts'

const APPS = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta']

const BODIES = 120

/** Messages of a body: 40 router lines, and 4 of other kinds for every 10 of them. */
const A_BODY = 56
const MESSAGES = BODIES * A_BODY

/** The rows added up as the generator adds up its lines. */
async function rowsAsTruth(sql: Sql): Promise<Map<string, Truth>> {
  const rows = await sql<({ app: string; bucket: Date } & Truth)[]>`
    select app, bucket, sum(requests)::bigint as requests,
      sum((select sum(n::bigint) from jsonb_each_text(status) s (code, n) where code >= '500'))::bigint
        as failed,
      sum((service).sum) as "serviceSum", sum(bytes)::bigint as bytes
    from shelf.requests_1m group by app, bucket`
  return new Map(
    rows.map(({ app, bucket, requests, failed, serviceSum, bytes }) => [
      `${app} ${bucket.toISOString()}`,
      { requests, failed: failed ?? 0, serviceSum, bytes },
    ]),
  )
}

async function postAll(stack: Stack, bodies: GeneratedBody[], after: () => void = () => {}) {
  for (const { app, frameId, body, messages } of bodies) {
    expect(await stack.post(app, frameId, body, messages)).toBe(204)
    after()
  }
}

onEachPostgres((newDatabase) => {
  describe('the whole way', () => {
    const { bodies, truth } = generateBodies(20260, {
      apps: APPS,
      bodies: BODIES,
      lines: 40,
      endMs: Math.floor(Date.now() / 60_000) * 60_000,
    })
    let stack: Stack
    let undisturbed: string[]

    const database = async (): Promise<{ url: string; sql: Sql }> => {
      const url = await newDatabase()
      await migrate(url)
      return { url, sql: connect(url, { max: 2 }) }
    }

    beforeAll(async () => {
      stack = await startStack()
    })
    afterAll(async () => {
      await stack.stop()
    })

    test('every request answered with 2xx is a row exactly once, and so is the ledger', async () => {
      const { url, sql } = await database()
      const worker = new Restarted(['run'], stack.env(url))
      await postAll(stack, bodies)
      await caughtUp(stack.log, url)
      await worker.stop()
      expect(await rowsAsTruth(sql)).toEqual(truth)
      undisturbed = await allRows(sql)
      const [ledger] = await sql`
        select sum(received)::int as received, sum(kept)::int as kept from shelf.ledger_1m`
      expect(ledger).toEqual({ received: MESSAGES, kept: MESSAGES })
      await sql.end()
    })

    test('frames sent again change nothing, and the ledger counts the duplicates', async () => {
      const { url, sql } = await database()
      const worker = new Restarted(['run'], stack.env(url))
      await caughtUp(stack.log, url)
      const again = bodies.slice(0, 10)
      await postAll(stack, again)
      await caughtUp(stack.log, url)
      await worker.stop()
      expect(await rowsAsTruth(sql)).toEqual(truth)
      const [ledger] = await sql`
        select sum(received)::int as received, sum(kept)::int as kept,
          sum(duplicates)::int as duplicates from shelf.ledger_1m`
      expect(ledger).toEqual({
        received: MESSAGES + 10 * A_BODY,
        kept: MESSAGES,
        duplicates: 10 * A_BODY,
      })
      await sql.end()
    })

    test('kill -9 at random, two of each program, frames resent: the same rows', async () => {
      const chaos = await startStack()
      const { url, sql } = await database()
      const env = chaos.env(url)
      const programs = ['aggregate', 'aggregate', 'persist', 'persist'].map(
        (name) => new Restarted([name], env),
      )
      const next = random(99)
      const resent: GeneratedBody[] = []
      for (const body of bodies) {
        await postAll(chaos, [body])
        if (next() < 0.1) resent.push(body)
        if (next() < 0.3) programs[Math.floor(next() * programs.length)]?.kill()
      }
      await caughtUp(chaos.log, url)
      expect(await allRows(sql)).toEqual(undisturbed)

      await postAll(chaos, resent, () => {
        if (next() < 0.5) programs[Math.floor(next() * programs.length)]?.kill()
      })
      await caughtUp(chaos.log, url)
      expect(await rowsAsTruth(sql)).toEqual(truth)
      const [ledger] = await sql`
        select sum(kept)::int as kept, sum(duplicates)::int as duplicates from shelf.ledger_1m`
      expect(ledger).toEqual({ kept: MESSAGES, duplicates: resent.length * A_BODY })
      expect(programs.reduce((kills, program) => kills + program.kills, 0)).toBeGreaterThan(20)
      await Promise.all(programs.map((program) => program.stop()))
      await sql.end()
      await chaos.stop()
    })

    test('a replay of the raw log into an empty database gives identical rows', async () => {
      const live = await database()
      const worker = new Restarted(['run'], stack.env(live.url))
      await caughtUp(stack.log, live.url)
      await worker.stop()

      const replay = await database()
      const env = stack.env(replay.url)
      const from = shelf(['from', 'raw', '--until', 'now'], env)
      const aggregate = Bun.spawn([process.execPath, 'batch/shelf.ts', 'aggregate'], {
        env: { ...process.env, ...env },
        stdin: from.stdout,
        stdout: 'pipe',
      })
      const persist = Bun.spawn([process.execPath, 'batch/shelf.ts', 'persist'], {
        env: { ...process.env, ...env },
        stdin: aggregate.stdout,
      })
      expect(await Promise.all([from.exited, aggregate.exited, persist.exited])).toEqual([0, 0, 0])
      expect(await allRows(replay.sql)).toEqual(await allRows(live.sql))
      await Promise.all([live.sql.end(), replay.sql.end()])
    })

    test('the pipelines of the design, as written, give the rows of the long-running programs', async () => {
      const piped = await startStack()
      const { url, sql } = await database()
      const pipeline = Bun.spawn(
        [
          'sh',
          '-c',
          `shelf() { "${process.execPath}" batch/shelf.ts "$@"; }
          shelf from raw        | shelf aggregate | shelf to aggregates &
          shelf from aggregates | shelf persist &
          read line
          kill 0`,
        ],
        { env: { ...process.env, ...piped.env(url) }, stdin: 'pipe', detached: true },
      )
      await postAll(piped, bodies)
      await caughtUp(piped.log, url)
      expect(await allRows(sql)).toEqual(undisturbed)
      pipeline.stdin.end()
      await pipeline.exited
      await sql.end()
      await piped.stop()
    })
  })
})
