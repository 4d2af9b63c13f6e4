/** The captured messages of nearly every kind, and what the log has of each. */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import * as z from 'zod'
import { userHasher } from '../core/credential.ts'
import { count, LEDGER_COUNTS, type Ledger, type LedgerCount, minuteOf } from '../core/ledger.ts'
import { sharedData } from './data.ts'
import { APP, KEY, startEdge, TEST_MS_MAX } from './edge.ts'
import { timesOf, wordsOf } from './edge-words.ts'

setDefaultTimeout(TEST_MS_MAX)

const edge = await startEdge()
afterAll(() => edge.stop())

/** Points of one line: `name=value`, in base units. */
const points = (before: string, behind: string, line: string): string[] =>
  line.split(' ').map((sample) => {
    const [name = '', value = ''] = sample.split('=')
    return `${before}${name} ${behind}= ${value}`
  })

const by = await userHasher(KEY)(APP, 'user@example.com')
const byFoo = await userHasher(KEY)(APP, 'foo@example.com')

/**
 * A row a message: its kind in the file, then all that the log has of it, as wordsOf says it, what
 * it counts in the ledger besides (`lostL10 1`), or why it has nothing.
 */
const TABLE: [kind: string, ...becomes: string[]][] = [
  ['router', 'request web 200 3ms'],
  ['app', 'ignoredOutput'],
  ['router2', 'request web 200 0ms'],
  ['router2', 'request web 304 2ms'],
  ['router2-space-in-path', 'request web 200 74ms'],
  ['router-xff-list', 'request web 200 51ms'],
  ['router-unquoted', 'request web 200 18ms'],
  ['H10', 'request web 503 H10'],
  ['H14', 'request web 503 H14'],
  ['H12', 'request web 503 30000ms H12'],
  ['H18', 'request web 200 710ms H18'],
  ['H27', 'request web 499 0ms H27'],
  ['H80', 'request web 503 H80'],
  ['H25', 'request web 502 2ms H25'],
  ['H26', 'request web 400 H26'],
  [
    'load',
    ...points('gauge imports_worker ', '', 'load_avg_1m=0 load_avg_5m=0 load_avg_15m=0'),
    'dyno imports_worker.2 b6e1c119-fba6-4c25-8129-ccf81cefd942',
  ],
  [
    'memory',
    ...points(
      'gauge background_worker ',
      '',
      'memory_total=340168540 memory_rss=333373768 memory_cache=6794772 memory_swap=0 ' +
        'memory_pgpgin=145418 memory_pgpgout=62370 memory_quota=536870912',
    ),
    'dyno background_worker.1 cfb234af-179b-484d-87ef-49cf17de13ae',
  ],
  [
    'load-partial',
    ...points('gauge web ', '', 'load_avg_1m=0 load_avg_5m=0'),
    'dyno web.1 7f9b14bc-1d3b-47f4-91c1-704964b8793f',
  ],
  ['R14-mem', 'gauge web memory_running = 876609536'],
  ['R14', 'counter web R14 = 1'],
  ['R15', 'counter worker R15 = 1'],
  ['R10', 'counter web R10 = 1'],
  ['R12', 'counter worker R12 = 1'],
  ['sigkill', 'kept'],
  ['exit', 'counter worker exit.137 = 1'],
  ['state', 'marker crash worker.1'],
  ['cycling', 'marker restart web.1 cycling'],
  ['state', 'marker restart web.1 restarting'],
  ['sigterm', 'kept'],
  ['starting', 'kept'],
  ['state', 'marker boot web.1'],
  ['restart', 'marker restart web.1 restarting'],
  ['idle', 'marker idle web.1'],
  ['unidle', 'marker unidle web.1'],
  ['build', `marker build started by ${by}`],
  ['build', 'marker build succeeded'],
  ['release', `marker release v4 by ${by}`],
  ['deploy', `marker deploy 059375fe by ${by}`],
  ['rollback', `marker rollback v11 by ${by}`],
  ['scale', `marker scale web 4:Standard-1X by ${by}`],
  [
    'scale',
    `marker scale web 3:Performance-L by ${by}`,
    `marker scale mailer 1:Standard-2X by ${by}`,
  ],
  ['config-set', `marker config set CRON_ENABLED by ${by}`],
  ['config-unset', `marker config removed SENDGRID_PASSWORD by ${by}`],
  ['addon', `marker addon provisioned postgresql-defined-96677 by ${by}`],
  ['attach', 'marker addon attach LOGDNA'],
  ['old-release', `marker release v1822 by ${byFoo}`],
  ['L10', 'lostL10 1', 'counter - L10 = 1'],
  ['L10-new', 'lostL10 12', 'counter - L10 = 1'],
  ['L12', 'lostL12 222', 'counter - L12 = 1'],
  ['L13', 'lostL13 111', 'counter - L13 = 1'],
  [
    'postgres',
    ...points(
      'gauge heroku-postgres postgres.',
      '[HEROKU_POSTGRESQL_GREEN/postgresql-triangular-70792] ',
      'current_transaction=369961 db_size=194056863 tables=57 active_connections=12 ' +
        'waiting_connections=0 index_cache_hit_rate=0.99996 table_cache_hit_rate=0.99986 ' +
        'load_avg_1m=0 load_avg_5m=0 load_avg_15m=0 read_iops=0 write_iops=0.067227 ' +
        'tmp_disk_used=33849344 tmp_disk_available=72944943104 memory_total=16032870400 ' +
        'memory_free=13022146560 memory_cached=2557468672 memory_postgres=52260864',
    ),
  ],
  [
    'redis',
    ...points(
      'gauge heroku-redis redis.',
      '[CACHE_STORE/redis-regular-64666] ',
      'active_connections=18 load_avg_1m=0 load_avg_5m=0.47 load_avg_15m=0.455 read_iops=0 ' +
        'write_iops=22.552 memory_total=16040157184 memory_free=8849649664 ' +
        'memory_cached=4306726912 memory_redis=3045976 hit_rate=0.97585 evicted_keys=0',
    ),
  ],
  [
    'l2met',
    'measure web custom.db.latency = 0.004',
    'counter web custom.db.vaccum = 1',
    'gauge web custom.db.size = 107374182400',
  ],
  ['l2met-bare', 'measure web custom.a = 1'],
  ['jvm-log', 'ignoredOutput'],
]

const file = sharedData('logplex-examples.jsonl')
const lines = z.array(
  z.object({
    kind: z.string(),
    pri: z.number(),
    ts: z.string(),
    hostname: z.string(),
    appname: z.string(),
    procid: z.string(),
    msgid: z.string(),
    msg: z.string(),
  }),
)
const captured = lines.parse(
  file.absent
    ? []
    : file.text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
)

const timeOf = (i: number): number => Date.parse(captured[i]?.ts ?? '')

/** What the table says of the ledger: `lostL10 1`, and why a message has nothing. */
function ledgerOf(receivedAtMs: number): Ledger {
  const ledger: Ledger = new Map()
  TABLE.forEach(([, ...becomes], i) => {
    const add = (what: LedgerCount, by?: number) => count(ledger, minuteOf(timeOf(i)), what, by)
    add('received')
    if (becomes[0] === 'ignoredOutput') add('ignoredOutput')
    else {
      add('kept')
      if (timeOf(i) < receivedAtMs - 7 * 86_400_000) add('late')
    }
    for (const what of LEDGER_COUNTS.filter((each) => each.startsWith('lost'))) {
      const lost = becomes.find((words) => words.startsWith(`${what} `))
      add(what, Number(lost?.split(' ')[1] ?? 0))
    }
  })
  return ledger
}

test.skipIf(file.absent)(
  'each of the 55 captured messages, sent as one body, becomes what the table says',
  async () => {
    expect(TABLE).toHaveLength(55)
    expect(TABLE.map(([kind]) => kind)).toEqual(captured.map(({ kind }) => kind))
    const burst = await edge.burstOf(
      ...captured.map(
        ({ pri, ts, hostname, appname, procid, msgid, msg }) =>
          `<${pri}>1 ${ts} ${hostname} ${appname} ${procid} ${msgid} ${msg}`,
      ),
    )
    const times = timesOf(burst)
    const found = wordsOf(burst).map((words, i) => [words, times[i]] as const)
    const expected = TABLE.flatMap(([, ...becomes], i) =>
      becomes.map((words) => [words, Math.floor(timeOf(i))] as const),
    )
    for (const kind of ['request', 'gauge|counter|measure', 'marker', 'dyno']) {
      const ofKind = ([words]: readonly [string, unknown]): boolean =>
        new RegExp(`^(?:${kind}) `).test(words)
      expect(found.filter(ofKind)).toEqual(expected.filter(ofKind))
    }
    expect(new Map(burst.ledger)).toEqual(ledgerOf(burst.receivedAtMs))
  },
)
