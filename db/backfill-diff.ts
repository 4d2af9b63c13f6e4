/** How the rows of a slice of time differ from the staged ones, and making them the same. */
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import type { Transaction } from './client.ts'
import {
  countersStaged,
  gaugesStaged,
  histogramsStaged,
  ledgerStaged,
  markerLinesStaged,
  requestsStaged,
  type Tier,
  timeToText,
} from './schema.ts'

/** A stretch of time whose rows stand in one tier: whole buckets of it. */
export interface Slice {
  tier: Tier
  /** How long a bucket is. */
  stepMs: number
  /** Unix ms. */
  sinceMs: number
  untilMs: number
}

/** Of a kind of rows, or of all. */
export interface Changes {
  added: number
  changed: number
  removed: number
  same: number
}

/** How one row differs; a side is null where it has no such row. */
export interface RowDiff {
  table: string
  key: Record<string, string>
  before: Record<string, unknown> | null
  after: Record<string, unknown> | null
}

interface Kind {
  name: string
  /** The column of the time, which is in the key. */
  time: 'bucket' | 'time'
  key: string[]
  values: string[]
}

/** By name, as all who write to several of them; marker_lines, which has no tiers, last. */
const KINDS = [
  countersStaged,
  gaugesStaged,
  histogramsStaged,
  ledgerStaged,
  requestsStaged,
  markerLinesStaged,
].map(kindOf)

function kindOf(table: PgTable): Kind {
  const { name, columns, primaryKeys } = getTableConfig(table)
  const key = primaryKeys.flatMap((primary) => primary.columns.map((column) => column.name))
  const values = columns.map((column) => column.name).filter((column) => !key.includes(column))
  return {
    name: name.replace(/_staged$/, ''),
    time: key.includes('bucket') ? 'bucket' : 'time',
    ...{ key, values },
  }
}

const tableOf = ({ name, time }: Kind, tier: Tier): string =>
  time === 'time' ? name : `${name}_${tier}`

/** The SQL of a kind in a slice: $1 since, $2 until, $3 apps, and $4 how long a bucket is. */
class KindSql {
  readonly table: string
  private readonly columns: string
  private readonly isMade: boolean

  constructor(
    private readonly kind: Kind,
    { tier }: Slice,
  ) {
    this.table = tableOf(kind, tier)
    this.columns = [...kind.key, ...kind.values].join()
    this.isMade = kind.time === 'bucket' && tier !== '1m'
  }

  private within(row: string): string {
    const time = `${row}.${this.kind.time}`
    return `${row}.app = any($3::text[]) and ${time} >= $1::timestamptz and ${time} < $2::timestamptz`
  }

  /** `fresh` and `live`: the rows as they should be, and those that there are. */
  private get both(): string {
    const { kind, columns } = this
    const staged = `shelf.${kind.name}_staged`
    // The type of $4 is given where nothing else uses it.
    const fresh = this.isMade
      ? `select ${columns} from (
          select array_agg(app) as apps, array_agg(bucket) as buckets from (
            select s.app, date_bin($4::interval, s.bucket, '1970-01-01 00:00+00') as bucket
            from ${staged} s where ${this.within('s')} group by 1, 2
          ) buckets
        ) b, shelf.coarser_${kind.name}('staged', $4::interval, b.apps, b.buckets)`
      : `select ${columns} from ${staged} s where ${this.within('s')} and $4::interval is not null`
    return `with fresh as materialized (${fresh}),
      live as materialized (
        select ${columns} from shelf.${this.table} l where ${this.within('l')})`
  }

  private on(one: string, other: string): string {
    return this.kind.key.map((column) => `${one}.${column} = ${other}.${column}`).join(' and ')
  }

  /** Whether two rows of one key differ. */
  private differ(one: string, other: string): string {
    const of = (row: string) => this.kind.values.map((column) => `${row}.${column}`).join()
    return `row(${of(one)}) is distinct from row(${of(other)})`
  }

  get counts(): string {
    return `${this.both}
      select count(*) filter (where l.app is null)::int as added,
        count(*) filter (where f.app is null)::int as removed,
        count(*) filter (where f.app = l.app and ${this.differ('f', 'l')})::int as changed,
        count(*) filter (where f.app = l.app and not ${this.differ('f', 'l')})::int as same
      from fresh f full join live l on ${this.on('f', 'l')}`
  }

  get diffs(): string {
    const { key, values } = this.kind
    const objectOf = (row: string, columns: string[]) =>
      `jsonb_build_object(${columns.map((column) => `'${column}', ${row}.${column}`).join()})`
    const keys = key.map((column) => `coalesce(f.${column}, l.${column}) as ${column}`).join()
    return `${this.both}
      select ${objectOf('d', key)} as key, d.before, d.after
      from (
        select ${keys},
          case when l.app is not null then ${objectOf('l', values)} end as before,
          case when f.app is not null then ${objectOf('f', values)} end as after
        from fresh f full join live l on ${this.on('f', 'l')}
        where f.app is null or l.app is null or ${this.differ('f', 'l')}
      ) d
      order by ${key.map((column) => `d.${column}`).join()}`
  }

  get remove(): string {
    return `${this.both}
      delete from shelf.${this.table} t
      where ${this.within('t')} and not exists (select from fresh f where ${this.on('f', 't')})
      returning t.app, t.${this.kind.time} as bucket`
  }

  get change(): string {
    const set = this.kind.values.map((column) => `${column} = f.${column}`).join()
    return `${this.both}
      update shelf.${this.table} t set ${set} from fresh f
      where ${this.within('t')} and ${this.on('f', 't')} and ${this.differ('f', 't')}
      returning t.app, t.${this.kind.time} as bucket`
  }

  get add(): string {
    const { columns } = this
    return `${this.both}
      insert into shelf.${this.table} as t (${columns})
      select ${columns} from fresh f where not exists (select from live l where ${this.on('f', 'l')})
      returning t.app, t.${this.kind.time} as bucket`
  }
}

interface Touched {
  app: string
  bucket: Date
}

/**
 * Makes the rows of a slice those that are staged: of these apps, or of all, also of those that are
 * not known. What is as it should be is not written. Coarser buckets are marked.
 * @returns how many rows of each table differed
 */
export async function swapSlice(
  sql: Transaction,
  slice: Slice,
  apps: readonly string[] | undefined,
): Promise<Map<string, Changes>> {
  const { kinds, parameters } = await prepared(sql, slice, apps)
  const changes = new Map<string, Changes>()
  const touched = new Map<string, Touched>()
  for (const kind of kinds) {
    const [counts] = await sql.unsafe<Changes[]>(kind.counts, parameters)
    if (counts === undefined) continue
    changes.set(kind.table, counts)
    const due: [number, string][] = [
      [counts.removed, kind.remove],
      [counts.changed, kind.change],
      [counts.added, kind.add],
    ]
    for (const [rows, text] of due) {
      if (rows === 0) continue
      const written = await sql.unsafe<Touched[]>(text, parameters)
      // Markers have no tiers.
      if (kind.table === 'marker_lines') continue
      for (const { app, bucket } of written)
        touched.set(`${bucket.getTime()}\n${app}`, { app, bucket })
    }
  }
  const marks = [...touched.values()]
  await sql`
    select shelf.mark_dirty(
      ${marks.map(({ app }) => app)}::text[], ${marks.map(({ bucket }) => bucket.toISOString())}::timestamptz[]
    )`
  return changes
}

/** What swapSlice would change; nothing is written but what is staged. */
export async function diffSlice(
  sql: Transaction,
  slice: Slice,
  apps: readonly string[] | undefined,
): Promise<{ changes: Map<string, Changes>; rows: RowDiff[] }> {
  const { kinds, parameters } = await prepared(sql, slice, apps)
  const changes = new Map<string, Changes>()
  const rows: RowDiff[] = []
  for (const kind of kinds) {
    const [counts] = await sql.unsafe<Changes[]>(kind.counts, parameters)
    if (counts === undefined) continue
    changes.set(kind.table, counts)
    if (counts.added + counts.changed + counts.removed === 0) continue
    const found = await sql.unsafe<Omit<RowDiff, 'table'>[]>(kind.diffs, parameters)
    for (const row of found) rows.push({ table: kind.table, ...row })
  }
  return { changes, rows }
}

async function prepared(sql: Transaction, slice: Slice, apps: readonly string[] | undefined) {
  // By their keys, which begin with the app: the tables may hold days of which this is an hour.
  await sql`set local enable_seqscan = off`
  await sql`set local jit = off`
  const all = apps ?? (await allApps(sql, slice))
  const range = [timeToText(slice.sinceMs), timeToText(slice.untilMs)]
  if (all.includes('')) await keepReplaced(sql, slice)
  return {
    kinds: KINDS.map((kind) => new KindSql(kind, slice)),
    parameters: [...range, [...all], `${slice.stepMs / 1000} seconds`],
  }
}

/** All apps that have rows in any of the tables, found by a look for each of them. */
async function allApps(sql: Transaction, { tier }: Slice): Promise<string[]> {
  const apps = new Set<string>()
  for (const table of KINDS.flatMap((kind) => [tableOf(kind, tier), `${kind.name}_staged`])) {
    const rows = await sql<{ app: string }[]>`
      with recursive found (app) as (
        (select t.app from ${sql(`shelf.${table}`)} t order by t.app limit 1)
        union all
        select (
          select t.app from ${sql(`shelf.${table}`)} t where t.app > f.app order by t.app limit 1
        )
        from found f where f.app is not null
      )
      select app from found where app is not null`
    for (const { app } of rows) apps.add(app)
  }
  return [...apps]
}

/** That the log was replaced is known from two logs: one of them can't tell, and the row is kept. */
async function keepReplaced(sql: Transaction, { tier, sinceMs, untilMs }: Slice): Promise<void> {
  await sql`
    insert into shelf.ledger_staged (app, bucket, log_replaced)
    select '', bucket, log_replaced from ${sql(`shelf.ledger_${tier}`)}
    where app = '' and log_replaced > 0
      and bucket >= ${timeToText(sinceMs)} and bucket < ${timeToText(untilMs)}
    on conflict (app, bucket) do update set log_replaced = excluded.log_replaced`
}

/** Adds what was seen of dynos. @returns how many rows that changed */
export async function addStagedDynos(sql: Transaction): Promise<number> {
  const rows = await sql`
    insert into shelf.dynos as dynos
    select * from shelf.dynos_staged order by app, dyno, instance
    on conflict (app, dyno, instance) do update set
      first_at = least(dynos.first_at, excluded.first_at),
      last_at = greatest(dynos.last_at, excluded.last_at)
      where excluded.first_at < dynos.first_at or excluded.last_at > dynos.last_at
    returning 1`
  return rows.length
}
