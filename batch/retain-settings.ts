/** How long each tier is kept: what the settings say. */
import type { Transaction } from '../db/client.ts'
import type { Tier } from '../db/schema.ts'
import { UsageError } from './program.ts'

const SETTINGS = [
  { tier: '1m', name: 'SHELF_KEEP_1M' },
  { tier: '10m', name: 'SHELF_KEEP_10M' },
  { tier: '1h', name: 'SHELF_KEEP_1H' },
  { tier: '1d', name: 'SHELF_KEEP_1D' },
] as const

/** A hundred years: what is kept longer is kept for ever. */
const DAYS_MAX = 36_500

const FOREVER = 'forever'

/** Of what check and notify left behind. */
const ALERTS = 'SHELF_KEEP_ALERTS'

/** Days, or Infinity. Tiers that are not named stay as they are. */
export type Keep = Partial<Record<Tier | 'alerts', number>>

/**
 * Reads SHELF_KEEP_1M and its kin, and SHELF_KEEP_ALERTS: `7 days`, from 1 on, or `forever`.
 * @throws UsageError
 */
export function keepSettings(env: NodeJS.ProcessEnv): Keep {
  const keep: Keep = {}
  for (const { tier, name } of SETTINGS) {
    const text = env[name]
    if (text) keep[tier] = parseDays(name, text.trim())
  }
  const text = env[ALERTS]
  if (text) keep.alerts = parseDays(ALERTS, text.trim())
  return keep
}

function parseDays(name: string, text: string): number {
  if (text === FOREVER) return Number.POSITIVE_INFINITY
  const days = Number(/^(\d{1,6}) days?$/.exec(text)?.[1])
  if (days >= 1 && days <= DAYS_MAX) return days
  throw new UsageError(`${name} must be like "30 days", from 1 on, or "${FOREVER}", not "${text}"`)
}

/**
 * Writes them to shelf.tiers, where readers find them.
 * @throws UsageError where a tier would be kept shorter than the finer one
 */
export async function storeKeep(sql: Transaction, keep: Keep): Promise<void> {
  for (const { tier } of SETTINGS) {
    const days = keep[tier]
    if (days === undefined) continue
    const kept = Number.isFinite(days) ? `${days} days` : null
    await sql`
      update shelf.tiers set kept = ${kept}::interval
      where tier = ${tier} and kept is distinct from ${kept}::interval`
  }
  const [wrong] = await sql<Kept[]>`
    select t.tier, t.kept::text, f.tier as finer, coalesce(f.kept::text, ${FOREVER}) as "finerKept"
    from shelf.tiers t join shelf.tiers f on f.tier = shelf.finer_tier(t.tier)
    where t.kept is not null and (f.kept is null or f.kept > t.kept)
    order by t.step`
  if (wrong === undefined) return
  const { tier, kept, finer, finerKept } = wrong
  throw new UsageError(
    `${nameOf(tier)} must be as long as ${nameOf(finer)} at least: ${finerKept}, not ${kept}`,
  )
}

interface Kept {
  tier: Tier
  kept: string
  finer: Tier
  finerKept: string
}

const nameOf = (tier: Tier): string =>
  SETTINGS.find((setting) => setting.tier === tier)?.name ?? tier
