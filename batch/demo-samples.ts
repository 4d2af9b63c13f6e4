/** Lines of the lifelike app that carry numbers: its dynos' metrics, its add-ons', and its own. */
import {
  type DemoLine,
  type DemoPoint,
  dynoLine,
  outputLine,
  PRIORITY,
  typeOf,
} from './demo-line.ts'
import type { Visitor } from './demo-people.ts'
import type { Random } from './demo-random.ts'

const MB = 2 ** 20

/** What the units are worth that these lines use: bytes, seconds, pages, or nothing. */
const UNIT_WORTH = { MB, kB: 1024, bytes: 1, pages: 1, M: MB, s: 1, '': 1 } as const

/** The platform numbers its apps; one is as good as another. */
const APP_NUMBER = 35930502

const MINUTE_MS = 60_000

/** A figure as it is printed, and what it is worth. */
interface Figure {
  text: string
  value: number
}

/** `21.22MB`, which is 22,250,783 bytes: there are no parts of a byte. */
function figure(amount: number, digits: number, unit: keyof typeof UNIT_WORTH): Figure {
  const printed = amount.toFixed(digits)
  const worth = UNIT_WORTH[unit]
  const value = Number(printed) * worth
  return { text: printed + unit, value: worth > 1 ? Math.round(value) : value }
}

const gauges = (process: string, figures: Record<string, Figure>): DemoPoint[] =>
  Object.entries(figures).map(([name, { value }]) => ({
    kind: 'gauge',
    process,
    name,
    source: '',
    value,
  }))

const samples = (figures: Record<string, Figure>): string =>
  Object.entries(figures)
    .map(([name, { text }]) => `sample#${name}=${text}`)
    .join(' ')

function metricsLine(dyno: string, instance: string, figures: Record<string, Figure>): DemoLine {
  const head = `source=${dyno} dyno=heroku.${APP_NUMBER}.${instance}`
  return dynoLine(dyno, `${head} ${samples(figures)}`, gauges(typeOf(dyno), figures))
}

/** Averages over more than the dyno's age are missing, as in the platform's own lines. */
export function loadLine(dyno: string, instance: string, ageMs: number, load: number): DemoLine {
  return metricsLine(dyno, instance, {
    load_avg_1m: figure(load, 2, ''),
    ...(ageMs < 5 * MINUTE_MS ? {} : { load_avg_5m: figure(load * 0.9, 2, '') }),
    ...(ageMs < 15 * MINUTE_MS ? {} : { load_avg_15m: figure(load * 0.8, 2, '') }),
  })
}

/** What a dyno takes. What is over the quota is swapped. */
export interface Memory {
  rssMb: number
  cacheMb: number
  swapMb: number
  quotaMb: number
}

/** The same, and at the same place, as the platform adds it up: in hundredths. */
export function totalMb({ rssMb, cacheMb, swapMb }: Memory): number {
  return [rssMb, cacheMb, swapMb].reduce((sum, mb) => sum + Math.round(mb * 100), 0) / 100
}

export function memoryLine(
  dyno: string,
  instance: string,
  memory: Memory,
  pages: { in: number; out: number },
): DemoLine {
  return metricsLine(dyno, instance, {
    memory_total: figure(totalMb(memory), 2, 'MB'),
    memory_rss: figure(memory.rssMb, 2, 'MB'),
    memory_cache: figure(memory.cacheMb, 2, 'MB'),
    memory_swap: figure(memory.swapMb, 2, 'MB'),
    memory_pgpgin: figure(pages.in, 0, 'pages'),
    memory_pgpgout: figure(pages.out, 0, 'pages'),
    memory_quota: figure(memory.quotaMb, 2, 'MB'),
  })
}

/** What stands before R14 and R15. */
export function runningLine(dyno: string, memory: Memory): DemoLine {
  const total = totalMb(memory)
  const running = figure(total, 0, 'M')
  const share = ((total / memory.quotaMb) * 100).toFixed(1)
  const points = gauges(typeOf(dyno), { memory_running: running })
  return dynoLine(dyno, `Process running mem=${running.text}(${share}%)`, points)
}

/** `heroku-postgres` becomes `postgres.`, dashes underscores, and the source has the add-on in it. */
function addonLine(
  addon: string,
  source: string,
  name: string,
  figures: Record<string, Figure>,
): DemoLine {
  const kind = addon.slice('heroku-'.length)
  const points = gauges(addon, figures).map((point) => ({
    ...point,
    name: `${kind}.${point.name.replaceAll('-', '_')}`,
    source: `${source}/${name}`,
  }))
  const line = outputLine(addon, `source=${source} addon=${name} ${samples(figures)}`, points)
  return { ...line, priority: PRIORITY.addon }
}

export function postgresLine(random: Random, rows: number): DemoLine {
  return addonLine('heroku-postgres', 'HEROKU_POSTGRESQL_GREEN', 'postgresql-triangular-70792', {
    current_transaction: figure(369_961 + rows, 0, ''),
    db_size: figure(194_056_863 + rows * 512, 0, 'bytes'),
    tables: figure(57, 0, ''),
    'active-connections': figure(8 + random.whole(12), 0, ''),
    'waiting-connections': figure(random.whole(2), 0, ''),
    'index-cache-hit-rate': figure(random.between(0.999, 1), 5, ''),
    'load-avg-1m': figure(random.between(0, 0.4), 3, ''),
    'write-iops': figure(random.between(0, 3), 6, ''),
    'memory-total': figure(15_657_100, 0, 'kB'),
    'memory-free': figure(12_000_000 + random.whole(500_000), 0, 'kB'),
    'memory-postgres': figure(51_036 + random.whole(4000), 1, 'kB'),
  })
}

export function redisLine(random: Random): DemoLine {
  return addonLine('heroku-redis', 'REDIS', 'redis-rugged-24473', {
    'active-connections': figure(4 + random.whole(9), 0, ''),
    'load-avg-1m': figure(random.between(0, 2), 2, ''),
    'memory-total': figure(16_167_800, 0, 'kB'),
    'memory-redis': figure(900_000 + random.whole(90_000), 0, 'bytes'),
    'hit-rate': figure(random.between(0.6, 0.9), 5, ''),
    'evicted-keys': figure(random.whole(3), 0, ''),
  })
}

const KINDS = { measure: 'measure', count: 'counter', sample: 'gauge' } as const

/** `[kind, name, text of the value, value in base units]` */
type Custom = readonly [keyof typeof KINDS, string, string, number]

function customLine(dyno: string, source: string, values: readonly Custom[], rest = ''): DemoLine {
  const points = values.map(([kind, name, , value]) => ({
    kind: KINDS[kind],
    process: typeOf(dyno),
    name: `custom.${name}`,
    source,
    value,
  }))
  const words = values.map(([kind, name, text]) => `${kind}#${name}=${text}`)
  const from = source === '' ? [] : [`source=${source}`]
  return outputLine(dyno, [...from, ...words, ...(rest === '' ? [] : [rest])].join(' '), points)
}

/** Metrics of the app's own, in l2met's convention, with a person beside them. */
export function webMetricsLine(dyno: string, visitor: Visitor, random: Random): DemoLine {
  const queryMs = random.logNormal(4, 0.8).toFixed(1)
  const renderS = random.logNormal(0.03, 0.6).toFixed(3)
  const depth = random.whole(40)
  const source = random.pick(['eu', 'us', ''])
  const values: Custom[] = [
    ['measure', 'db.latency', `${queryMs}ms`, Number(queryMs) / 1000],
    ['measure', 'cart.render', `${renderS}s`, Number(renderS)],
    ['count', 'orders.placed', '1', 1],
    ['sample', 'queue.depth', String(depth), depth],
  ]
  return customLine(dyno, source, values, `user=${visitor.email} ip=${visitor.ip}`)
}

export function workerMetricsLine(dyno: string, random: Random): DemoLine {
  const jobs = 1 + random.whole(5)
  const jobS = random.logNormal(1.2, 0.5).toFixed(2)
  const cache = figure(random.between(8, 24), 2, 'MB')
  return customLine(dyno, '', [
    ['count', 'jobs.done', String(jobs), jobs],
    ['measure', 'job.time', `${jobS}s`, Number(jobS)],
    ['sample', 'cache.size', cache.text, cache.value],
  ])
}

/** An app that means no harm, and puts an e-mail where a name and a source belong. */
export function carelessMetricsLine(dyno: string, { email }: Visitor): DemoLine {
  const line = customLine(dyno, '', [['count', 'mails.sent', '1', 1]])
  return { ...line, text: `source=${email} count#mail.${email}=1 ${line.text}`, unreadable: 1 }
}
