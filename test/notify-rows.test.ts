/** What was sent, as rows, and as `shelf notify list` prints it. */
import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../batch/migrate.ts'
import { deliveryValue, type NewDelivery } from '../batch/notify-record.ts'
import { type Delivery, listDeliveries, persistDeliveries } from '../batch/notify-rows.ts'
import { tryRecord } from '../batch/notify-try.ts'
import { EmbeddedLog } from '../broker/embedded.ts'
import { connect } from '../db/client.ts'
import { itemSchema, type Message } from '../notify/message.ts'
import { failure } from '../notify/outcome.ts'
import { result } from './notify-receivers.ts'
import { onEachPostgres } from './sql-server.ts'
import { shelf, until } from './stack.ts'

const folder = mkdtempSync(join(tmpdir(), 'shelf-notify-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const message = (key: string): Message => ({
  ...{ key, group: 'g', target: 'https://hooks.example.com/secret', name: 'slow', open: 1 },
  ...{ severity: 'critical', at: new Date().toISOString() },
  items: [itemSchema.parse({ ...result('demo', 'firing', 1), event: 'fired' })],
})

const note = (log: EmbeddedLog, ...records: NewDelivery[]) =>
  log.append(
    'deliveries',
    records.map((record) => ({ partition: 0, value: deliveryValue('test', null, record) })),
  )

const noted = (key: string, tries: number, error?: string) =>
  tryRecord(message(key), error ? failure(error) : { isDelivered: true }, {
    ...{ tries, sinceMs: Date.now() },
  })

onEachPostgres((newDatabase) => {
  test('a message is a row, with what became of it last, however often it is read', async () => {
    const topics = { deliveries: { partitions: 1 } }
    const log = new EmbeddedLog({ folder: mkdtempSync(join(folder, 'log-')), topics })
    const url = await newDatabase()
    await migrate(url)
    const sql = connect(url, { max: 2 })
    const end = new AbortController()
    const persisting = persistDeliveries(log, sql, end.signal)
    await log.append('deliveries', [{ partition: 0, value: 'nonsense' }])
    await note(log, noted('msg_1', 1, '503 busy'), noted('msg_1', 2), noted('msg_2', 1, '500 oh'))
    const rows = (onlyFailed = false) => listDeliveries(sql, { onlyFailed })
    const wanted: Pick<Delivery, 'key' | 'outcome' | 'tries' | 'error'>[] = [
      { key: 'msg_1', outcome: 'delivered', tries: 2, error: null },
      { key: 'msg_2', outcome: 'failed', tries: 1, error: '500 oh' },
    ]
    const shown = async () =>
      (await rows())
        .map(({ key, outcome, tries, error }) => ({ key, outcome, tries, error }))
        .sort((a, b) => a.key.localeCompare(b.key))
    await until('rows', async () => (await rows()).length === 2)
    expect(await shown()).toEqual(wanted)
    // Read once more from the start: nothing changes.
    await sql`update shelf.delivery_progress set next_offset = 0`
    await note(log, noted('msg_3', 1))
    await until('a third row', async () => (await rows()).length === 3)
    expect((await shown()).slice(0, 2)).toEqual(wanted)
    expect((await rows(true)).map(({ key }) => key)).toEqual(['msg_2'])
    const [row] = await sql`select target, title, apps from shelf.deliveries where key = 'msg_1'`
    expect(row).toEqual({
      target: 'https://hooks.example.com/…',
      title: 'Firing (critical): slow: demo web',
      apps: ['demo'],
    })

    const child = shelf(['notify', 'list', '--failed'], { DATABASE_URL: url })
    expect(await new Response(child.stdout).text()).toMatch(
      /^\S+\tfailed\t1\thttps:\/\/hooks.example.com\/…\tFiring \(critical\): slow: demo web\t500 oh\n$/,
    )
    end.abort()
    await persisting
    await sql.end()
    await log.close()
  })
})
