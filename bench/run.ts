/**
 * `npm run bench -- [NAME…] [--seconds N] [--rate N] [--apps N] [--days N] [--full] [--json FILE]`:
 * measures, and prints tables.
 */
import { cpus, loadavg, release } from 'node:os'
import { parseArgs } from 'node:util'
import { benchAggregate } from './aggregate.ts'
import { benchBackfill } from './backfill.ts'
import { benchCheck } from './check.ts'
import { benchCompact } from './compact.ts'
import { benchEdge } from './edge.ts'
import { benchGrowth } from './growth.ts'
import { benchIgnore } from './ignore.ts'
import { benchParse } from './parse.ts'
import { benchPercentiles } from './percentiles.ts'
import { benchPersist } from './persist.ts'
import { benchStack } from './stack.ts'
import { benchTiers } from './tiers.ts'
import { benchWeb } from './web.ts'

/** One figure: ours, what people would use instead if there is such a thing, and the bar. */
export interface Figure {
  name: string
  unit: string
  ours: number
  theirs: number | null
  ratio: number | null
  /** The bar, in words. */
  target: string
  met: boolean
}

export interface BenchOptions {
  seconds: number
  /** Log lines a second. */
  rate: number
  /** Of the database that is made, and its days by minute. */
  apps: number
  days: number
}

const benches: Record<string, (options: BenchOptions) => Promise<Figure[]>> = {
  parse: benchParse,
  edge: benchEdge,
  aggregate: benchAggregate,
  persist: benchPersist,
  compact: benchCompact,
  backfill: benchBackfill,
  check: benchCheck,
  percentiles: benchPercentiles,
  stack: benchStack,
  growth: benchGrowth,
  ignore: benchIgnore,
  tiers: benchTiers,
  web: benchWeb,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '30' },
    rate: { type: 'string', default: '5000' },
    apps: { type: 'string', default: '20' },
    days: { type: 'string', default: '8' },
    // 200 apps and 30 days: takes long, and GB of disk.
    full: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
/** They take minutes: their data is large, or they wait for minutes to end. By name only. */
const LONG = ['tiers', 'web', 'check']
const usual = Object.keys(benches).filter((name) => !LONG.includes(name))
const names = positionals.length > 0 ? positionals : usual
const unknown = names.find((name) => !Object.hasOwn(benches, name))
if (unknown !== undefined) {
  console.error(`there is no benchmark ${unknown}; there are: ${Object.keys(benches).join(', ')}`)
  process.exit(2)
}
const options = {
  seconds: Number(values.seconds),
  rate: Number(values.rate),
  apps: values.full ? 200 : Number(values.apps),
  days: values.full ? 30 : Number(values.days),
}
const figures: Figure[] = []
for (const name of names) {
  const startMs = performance.now()
  figures.push(...((await benches[name]?.(options)) ?? []))
  // As soon as there are any: later ones take minutes.
  if (values.json !== undefined) await Bun.write(values.json, json())
  console.error(`${name}: ${((performance.now() - startMs) / 1000).toFixed(0)} s`)
}
const [cpu] = cpus()
console.log(
  `${cpus().length} × ${cpu?.model}, load ${loadavg()[0]?.toFixed(1)}; Bun ${Bun.version}, ` +
    `${process.platform} ${release()}`,
)
console.table(
  figures.map(({ name, unit, ours, theirs, ratio, target, met }) => ({
    name,
    ours: `${ours} ${unit}`,
    theirs: theirs ?? '-',
    ratio: ratio ?? '-',
    target,
    met,
  })),
)

function json(): string {
  return `${JSON.stringify(figures, null, 2)}\n`
}
