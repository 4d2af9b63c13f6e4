/** The apps of a made month: a few are busy, most are quiet, as customers are. Same seed, same apps. */
import { type Random, seededRandom } from '../batch/demo-random.ts'

const SEED = 5

/** Names that the platform samples of each process type, where the app has that switched on. */
const DYNO_GAUGES = [
  ...['load_avg_1m', 'load_avg_5m', 'load_avg_15m', 'memory_total', 'memory_rss', 'memory_cache'],
  ...['memory_swap', 'memory_pgpgin', 'memory_pgpgout', 'memory_quota'],
]

const ADDONS = [
  {
    process: 'heroku-postgres',
    source: 'HEROKU_POSTGRESQL_GREEN/postgresql-triangular-70792',
    names: [
      ...['current_transaction', 'db_size', 'tables', 'active_connections', 'waiting_connections'],
      ...['index_cache_hit_rate', 'load_avg_1m', 'write_iops', 'memory_total', 'memory_free'],
      'memory_postgres',
    ].map((name) => `postgres.${name}`),
  },
  {
    process: 'heroku-redis',
    source: 'REDIS/redis-rugged-24473',
    names: [
      ...['active_connections', 'load_avg_1m', 'memory_total', 'memory_redis', 'hit_rate'],
      'evicted_keys',
    ].map((name) => `redis.${name}`),
  },
] as const

const ERRORS = ['H12', 'H27', 'R14']

/** Kinds of service times: how long, and how even. */
const PROFILES = 8

export interface AppModel {
  app: string
  /** Requests a minute, the mean of a day. */
  rate: number
  profile: number
  /** Hours by which its day is moved, and of a day in which its dynos run. */
  shift: number
  awake: number
  metrics: MetricModel[]
}

export interface MetricModel {
  kind: 'gauges' | 'counters' | 'histograms'
  process: string
  name: string
  source: string
  /** Minutes in which it has a row, 0 to 1. */
  share: number
}

/** `apps` of them, the busiest first. Fewer are of the same mix, but for the few at the top. */
export function modelApps(apps: number): AppModel[] {
  const random = seededRandom(SEED)
  return Array.from({ length: apps }, (_, i) => {
    const rank = ((i + 0.5) / apps) * 200
    const isBusy = rank < 10
    const isMedium = !isBusy && rank < 60
    return {
      app: `${random.word(6)}-${random.word(5)}-${i}`,
      // From 100 requests a second to one a minute.
      rate: Math.min(6000, 6000 / (rank + 0.5) ** 1.6),
      profile: random.whole(PROFILES),
      shift: random.whole(24),
      awake: isBusy || isMedium || random.chance(0.6) ? 24 : 12,
      metrics: metricsOf(random, isBusy, isMedium),
    }
  })
}

function metricsOf(random: Random, isBusy: boolean, isMedium: boolean): MetricModel[] {
  const processes = isBusy ? ['web', 'worker', 'mailer', 'clock'] : ['web', 'worker']
  if (!isBusy && !isMedium) processes.length = 1
  const metrics: MetricModel[] = []
  if (isBusy || random.chance(isMedium ? 0.4 : 0.15)) {
    for (const process of processes) {
      for (const name of DYNO_GAUGES) {
        metrics.push({ kind: 'gauges', process, name, source: '', share: 1 })
      }
    }
  }
  for (const { process, source, names } of ADDONS) {
    if (!random.chance(isBusy ? 1 : isMedium ? 0.4 : 0.1)) continue
    for (const name of names) metrics.push({ kind: 'gauges', process, name, source, share: 1 })
  }
  for (const name of ERRORS) {
    metrics.push({ kind: 'counters', process: 'web', name, source: '', share: 0.02 })
  }
  const own = isBusy ? 4 : random.chance(0.5) ? (isMedium ? 2 : 1) : 0
  for (let n = 0; n < own; n++) {
    const share = isBusy ? 1 : 0.3
    const name = `custom.${random.word(5)}.${random.word(6)}`
    for (const source of isBusy ? ['eu', 'us'] : ['']) {
      metrics.push({ kind: 'counters', process: 'web', name: `${name}.done`, source, share })
      metrics.push({ kind: 'histograms', process: 'web', name: `${name}.latency`, source, share })
    }
  }
  return metrics
}

/** What is in a minute: a row of requests, and of an app's own measures, without its key. */
export interface Sample {
  profile: number
  size: number
  variant: number
  status: Record<string, number>
  serviceMs: number[]
  connectMs: number[]
  bytes: number
}

/** A sample of size s has 2^(s/2) requests. */
export const SIZE_MAX = 26

/** Of each profile and size. Many where they are small, so that what they add up to is not alike. */
export const VARIANTS_SMALL = 512
export const VARIANTS_LARGE = 32
export const SIZE_SMALL_MAX = 10

/** The profile of measures, which have fractions and few values a minute. */
export const MEASURES_PROFILE = PROFILES

/** Minutes to draw from: of each profile, size and variant. */
export function* samples(): Generator<Sample> {
  const random = seededRandom(SEED)
  for (let profile = 0; profile <= PROFILES; profile++) {
    const medianMs = profile === MEASURES_PROFILE ? 0.02 : 6 * 1.8 ** profile
    const sigma = 0.5 + (profile % 4) * 0.15
    const round = profile === MEASURES_PROFILE ? (value: number) => value : Math.round
    for (let size = 0; size <= SIZE_MAX; size++) {
      const requests = Math.round(2 ** (size / 2))
      const variants = size > SIZE_SMALL_MAX ? VARIANTS_LARGE : VARIANTS_SMALL
      for (let variant = 0; variant < variants; variant++) {
        const sample: Sample = {
          ...{ profile, size, variant, bytes: 0 },
          ...{ status: {}, serviceMs: [], connectMs: [] },
        }
        for (let i = 0; i < requests; i++) {
          const kind = random.next()
          // Quick ones from a cache, the usual, and what queries a lot.
          const median = medianMs * (kind < 0.25 ? 0.2 : kind < 0.95 ? 1 : 8)
          sample.serviceMs.push(round(Math.min(30_000, random.logNormal(median, sigma))))
          sample.connectMs.push(Math.round(random.exponential(0.8)))
          sample.bytes += Math.round(random.logNormal(4000, 1))
          const status = random.pickByShare(STATUS, 200)
          sample.status[status] = (sample.status[status] ?? 0) + 1
        }
        yield sample
      }
    }
  }
}

const STATUS = [
  [304, 0.08],
  [302, 0.04],
  [404, 0.02],
  [201, 0.02],
  [422, 0.002],
  [500, 0.001],
  [503, 0.0005],
] as const
