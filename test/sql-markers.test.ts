/** Lines that belong together are one marker. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { migrate } from '../batch/migrate.ts'
import { processOf } from '../core/dyno-line.ts'
import { connect, type Sql } from '../db/client.ts'
import { onEachPostgres } from './sql-server.ts'

/** `10:00:00 restart web.1 cycling`: time, kind, dyno or process or -, text. */
type Line = string

const DAY = '2026-11-23'
const timeOf = (clock: string, day = DAY) => `${day}T${clock}Z`

onEachPostgres((newDatabase) => {
  let sql: Sql

  beforeAll(async () => {
    const url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 1 })
  })
  afterAll(() => sql.end())
  beforeEach(async () => {
    await sql`truncate shelf.marker_lines, shelf.dynos, shelf.counters_1m`
  })

  const log = async (...lines: Line[]) => {
    for (const line of lines) {
      const [clock = '', kind = '', who = '-', ...text] = line.split(' ')
      const dyno = who.includes('.') ? who : ''
      const process = who === '-' ? '' : processOf(who)
      const by = text.at(-1)?.startsWith('by=') ? (text.pop() ?? '').slice(3) : ''
      for (const app of ['shop', 'other']) {
        await sql`
          insert into shelf.marker_lines (app, time, kind, process, dyno, text, by)
          values (${app}, ${timeOf(clock)}, ${kind}, ${process}, ${dyno}, ${text.join(' ')}, ${by})
          on conflict do nothing`
      }
    }
  }

  const see = async (dyno: string, instance: string, first: string, last: string) => {
    await sql`
      insert into shelf.dynos values ('shop', ${dyno}, ${instance}, ${first}, ${last})`
  }

  const refuse = (process: string, ...clocks: string[]) => sql`
    insert into shelf.counters_1m (app, process, name, bucket, sum)
    select 'shop', ${process}, 'H80', clock::timestamptz, 1
    from unnest(${clocks.map((clock) => timeOf(clock))}::text[]) clock`

  /** `clock kind process text`, and the detail, of the app shop's markers. */
  const markers = async (kinds?: string[]): Promise<[string, unknown][]> => {
    const rows = await sql`
      select to_char(time, 'HH24:MI:SS') as clock, kind, process, text, by, detail
      from shelf.markers
      where app = 'shop' and (${kinds ?? null}::text[] is null or kind = any (${kinds ?? null}))
      order by time, kind, process, text`
    return rows.map(({ clock, kind, process, text, by, detail }) => [
      [clock, kind, process || '-', text, by && `by=${by}`].join(' ').trim(),
      detail,
    ])
  }

  test('a deploy, its release and the restarts it brings are one marker', async () => {
    await log(
      '10:00:00.380 release - v42 by=1b2c3d4e',
      '10:00:00.380 deploy - 059375fe by=1b2c3d4e',
      '10:00:01.100 restart web.1 restarting',
      '10:00:01.103 restart web.1 restarting',
      '10:00:01.200 restart web.2 restarting',
      '10:00:40.000 restart worker.1 restarting',
      '10:00:45.000 boot web.1',
      '10:02:59.000 restart clock.1 restarting',
    )
    expect(await markers()).toEqual([
      [
        '10:00:00 deploy - 059375fe by=1b2c3d4e',
        { version: 'v42', commit: '059375fe', restarted: ['clock', 'web', 'worker'] },
      ],
      ['10:00:45 boot web', { dynos: ['web.1'] }],
    ])
  })

  test('a release may be logged up to 2 seconds before or after what made it', async () => {
    await log(
      '10:00:00 config - set FOO, BAR',
      '10:00:02 release - v2 by=1b2c3d4e',
      '11:00:02 rollback - v1 by=1b2c3d4e',
      '11:00:00 release - v3',
      '12:00:00 addon - attach LOGDNA',
      '12:00:02.001 release - v4',
    )
    expect(await markers()).toEqual([
      ['10:00:00 config - set FOO, BAR by=1b2c3d4e', { version: 'v2' }],
      ['11:00:02 rollback - v1 by=1b2c3d4e', { version: 'v3' }],
      ['12:00:00 addon - attach LOGDNA', {}],
      ['12:00:02 release - v4', { version: 'v4' }],
    ])
  })

  test('changes in quick succession each have their own release', async () => {
    await log(
      '10:00:00.100 config - set A',
      '10:00:00.100 release - v9',
      '10:00:01.300 config - set B',
      '10:00:01.300 release - v10',
      // Of this one the companion was lost.
      '10:00:02.000 release - v11',
    )
    expect(await markers()).toEqual([
      ['10:00:00 config - set A', { version: 'v9' }],
      ['10:00:01 config - set B', { version: 'v10' }],
      ['10:00:02 release - v11', { version: 'v11' }],
    ])
  })

  test('two changes that share a release: the nearer has it', async () => {
    await log(
      '10:00:00.0 addon - attach DATABASE',
      '10:00:00.5 addon - provisioned postgresql-defined-96677',
      '10:00:00.4 release - v5',
    )
    expect(await markers()).toEqual([
      ['10:00:00 addon - attach DATABASE', {}],
      ['10:00:00 addon - provisioned postgresql-defined-96677', { version: 'v5' }],
    ])
  })

  test('restarts of a process type are one marker, however often they are logged', async () => {
    await log(
      '10:00:00.240 restart web.1 cycling',
      '10:00:00.243 restart web.1 restarting',
      '10:00:00.243 restart web.1 restarting',
      '10:00:55.000 restart web.2 cycling',
      '10:01:54.000 restart web.10 restarting',
      '10:01:54.000 restart worker.1 restarting',
      // 61 seconds later.
      '10:02:55.000 restart web.3 restarting',
    )
    expect(await markers()).toEqual([
      ['10:00:00 restart web cycling', { dynos: ['web.1', 'web.10', 'web.2'], reason: 'cycling' }],
      ['10:01:54 restart worker restarting', { dynos: ['worker.1'], reason: 'restarting' }],
      ['10:02:55 restart web restarting', { dynos: ['web.3'], reason: 'restarting' }],
    ])
  })

  test('a restart just before a release, or over 3 minutes after it, is its own', async () => {
    await log(
      '09:59:50 restart web.1 cycling',
      '10:00:00 config - set A',
      '10:00:00 release - v7',
      '10:00:01 restart web.1 restarting',
      '10:00:01 restart web.2 restarting',
      '10:03:01 restart worker.1 cycling',
    )
    expect(await markers()).toEqual([
      ['09:59:50 restart web cycling', { dynos: ['web.1'], reason: 'cycling' }],
      ['10:00:00 config - set A', { version: 'v7', restarted: ['web'] }],
      ['10:03:01 restart worker cycling', { dynos: ['worker.1'], reason: 'cycling' }],
    ])
  })

  test('restarts that go on from a release for over 3 minutes stay its own', async () => {
    await log(
      '10:00:00 deploy - 059375fe',
      ...Array.from({ length: 9 }, (_, i) => {
        const clock = new Date(Date.UTC(2026) + (10 * 3600 + i * 30) * 1000).toISOString()
        return `${clock.slice(11, 19)} restart web.${i} restarting`
      }),
    )
    expect(await markers()).toEqual([
      ['10:00:00 deploy - 059375fe', { commit: '059375fe', restarted: ['web'] }],
    ])
  })

  test('restarts belong to the newest release before them', async () => {
    await log(
      '10:00:00 deploy - 059375fe',
      '10:00:00 release - v7',
      '10:00:05 restart web.1 restarting',
      '10:01:00 addon - attach CACHE',
      '10:01:01 release - v8',
      '10:01:05 restart worker.1 restarting',
    )
    expect(await markers()).toEqual([
      ['10:00:00 deploy - 059375fe', { version: 'v7', commit: '059375fe', restarted: ['web'] }],
      ['10:01:00 addon - attach CACHE', { version: 'v8', restarted: ['worker'] }],
    ])
  })

  test('an instance that changes is a restart whose line was lost', async () => {
    await see('web.1', 'a', timeOf('08:00:00'), timeOf('10:00:00'))
    await see('web.1', 'b', timeOf('10:00:40'), timeOf('10:30:00'))
    await see('web.2', 'c', timeOf('10:00:00'), timeOf('10:30:30'))
    await see('web.2', 'd', timeOf('10:31:00'), timeOf('11:00:00'))
    await see('web.3', 'e', timeOf('10:31:20'), timeOf('11:00:00'))
    expect(await markers()).toEqual([
      ['10:00:40 restart web dyno changed', { dynos: ['web.1'], reason: 'dyno changed' }],
      ['10:31:00 restart web dyno changed', { dynos: ['web.2'], reason: 'dyno changed' }],
    ])
  })

  test('an instance that changes around a line that tells why is no restart more', async () => {
    const dynos = ['web.1', 'web.2', 'web.3', 'web.4', 'web.5']
    for (const [n, dyno] of dynos.entries()) {
      await see(dyno, `a${n}`, timeOf('08:00:00'), timeOf('10:00:00'))
      await see(dyno, `b${n}`, timeOf('10:00:40'), timeOf('11:00:00'))
    }
    await log(
      '09:58:40 restart web.1 cycling',
      '10:02:40 restart web.2 restarting',
      '10:00:10 crash web.3',
      '10:00:10 unidle web.4',
    )
    expect(await markers(['restart'])).toEqual([
      ['09:58:40 restart web cycling', { dynos: ['web.1'], reason: 'cycling' }],
      ['10:00:40 restart web dyno changed', { dynos: ['web.5'], reason: 'dyno changed' }],
      ['10:02:40 restart web restarting', { dynos: ['web.2'], reason: 'restarting' }],
    ])
    await log('10:00:00 scale web 5:Standard-1X')
    expect((await markers(['restart'])).map(([text]) => text)).toEqual([
      '09:58:40 restart web cycling',
      '10:02:40 restart web restarting',
    ])
  })

  test('instances that change after a release belong to it, and join lines of others', async () => {
    await see('web.1', 'a', timeOf('08:00:00'), timeOf('10:00:00'))
    await see('web.1', 'b', timeOf('10:00:40'), timeOf('10:30:00'))
    await see('web.1', 'c', timeOf('12:00:30'), timeOf('12:30:00'))
    await log(
      '10:00:00 config - set A',
      '10:00:01 restart worker.1 restarting',
      '12:00:00 restart web.2 cycling',
    )
    expect(await markers()).toEqual([
      ['10:00:00 config - set A', { restarted: ['web', 'worker'] }],
      ['12:00:00 restart web cycling', { dynos: ['web.1', 'web.2'], reason: 'cycling' }],
    ])
  })

  test('one-off dynos, and dynos that come back after a day, have not restarted', async () => {
    for (const dyno of ['run.1234', 'scheduler.77', 'release.5']) {
      await see(dyno, `${dyno}a`, timeOf('08:00:00'), timeOf('08:00:30'))
      await see(dyno, `${dyno}b`, timeOf('09:00:00'), timeOf('09:00:30'))
    }
    await see('web.9', 'a', timeOf('08:00:00', '2026-11-20'), timeOf('09:00:00', '2026-11-20'))
    await see('web.9', 'b', timeOf('10:00:00'), timeOf('11:00:00'))
    expect(await markers()).toEqual([])
  })

  test('crashes, boots, idling and unidling are one marker a process type', async () => {
    await log(
      '10:00:00 crash web.1',
      '10:00:30 crash web.2',
      '10:01:31 crash web.1',
      '10:00:10 boot worker.1',
      '10:00:20 boot worker.2',
      '11:00:00 idle web.1',
      '12:00:00 unidle web.1',
    )
    expect(await markers()).toEqual([
      ['10:00:00 crash web', { dynos: ['web.1', 'web.2'] }],
      ['10:00:10 boot worker', { dynos: ['worker.1', 'worker.2'] }],
      ['10:01:31 crash web', { dynos: ['web.1'] }],
      ['11:00:00 idle web', { dynos: ['web.1'] }],
      ['12:00:00 unidle web', { dynos: ['web.1'] }],
    ])
  })

  test('a scaling is a marker for each process type, with quantity and size', async () => {
    await log(
      '10:00:00 scale web 4:Standard-1X by=1b2c3d4e',
      '10:00:00 scale mailer 0',
      '10:00:00 build - started',
      '10:00:17 build - succeeded',
    )
    expect(await markers()).toEqual([
      ['10:00:00 build - started', {}],
      ['10:00:00 scale mailer 0', { quantity: 0 }],
      ['10:00:00 scale web 4:Standard-1X by=1b2c3d4e', { quantity: 4, size: 'Standard-1X' }],
      ['10:00:17 build - succeeded', {}],
    ])
  })

  test('maintenance is from the first refused request to the last, with pauses of 5 minutes', async () => {
    await refuse('', '10:00:00', '10:01:00', '10:06:00', '10:12:00', '23:59:00')
    await refuse('web', '10:01:00', '10:12:00')
    const until = (clock: string) => ({ until: timeOf(clock).replace('Z', '+00:00') })
    expect(await markers()).toEqual([
      ['10:00:00 maintenance -', until('10:07:00')],
      ['10:12:00 maintenance -', until('10:13:00')],
      ['23:59:00 maintenance -', { until: '2026-11-24T00:00:00+00:00' }],
    ])
  })

  test('lines that have no order among themselves give one marker in any', async () => {
    const at = '10:00:00'
    await log(
      `${at} deploy - aaaa`,
      `${at} config - set A`,
      `${at} release - v1`,
      `${at} release - v2`,
      `${at} crash web.1`,
      `${at} crash web.2`,
    )
    // Of two at one moment nobody can tell which release is whose: none is lost.
    expect((await markers()).map(([text]) => text)).toEqual([
      '10:00:00 config - set A',
      '10:00:00 crash web',
      '10:00:00 deploy - aaaa',
      '10:00:00 release - v2',
    ])
  })

  test('the process type of a dyno is the same in SQL as in the log', async () => {
    const dynos = ['web.1', 'web', 'my_worker.12', 'web-5d8f5f9b8-abcde', 'a-b-c-d', '.1', 'a.b.2']
    const rows = await sql<{ process: string }[]>`
      select shelf.process_of(dyno) as process
      from unnest(${dynos}::text[]) with ordinality d (dyno, n) order by n`
    expect(rows.map(({ process }) => process)).toEqual(dynos.map(processOf))
  })

  test('a condition on app and time reads only that part of the keys', async () => {
    await sql`
      insert into shelf.marker_lines (app, time, kind, process, dyno, text)
      select 'app' || n % 50, timestamptz '2026-01-01Z' + n * interval '1 minute',
        (array['restart', 'boot', 'crash', 'deploy', 'release', 'scale'])[1 + n % 6], 'web',
        'web.' || n % 5, 'v' || n
      from generate_series(1, 20000) n`
    await sql`analyze shelf.marker_lines`
    const plan = await sql`
      explain (costs off) select * from shelf.markers
      where app = 'app7' and time > '2026-01-10Z' and time < '2026-01-11Z'`
    const text = plan.map((line) => line['QUERY PLAN']).join('\n')
    expect(text).not.toContain('Seq Scan on marker_lines')
    expect(text).not.toContain('CTE')
  })
})
