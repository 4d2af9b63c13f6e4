/** Adds lines of markers to shelf.marker_lines, and sightings of dynos to shelf.dynos. */
import type { DynoCell, MarkerCell } from '../core/cell.ts'
import type { Transaction } from './client.ts'
import { timeToText } from './schema.ts'

/**
 * Characters of a dyno's name and of a marker's text that are kept. Both are in a key, of which
 * PostgreSQL takes 2,704 bytes; a longer one would be an error for ever.
 */
const DYNO_CHARS_MAX = 100
const TEXT_CHARS_MAX = 400

/** The same line twice is one row. Of two that differ in who did it, one that says so stays. */
export async function mergeMarkers(
  sql: Transaction,
  into: 'marker_lines' | 'marker_lines_staged',
  rows: readonly MarkerCell[],
): Promise<void> {
  await sql`
    insert into ${sql(`shelf.${into}`)} as lines (app, time, kind, process, dyno, text, by)
    select app, time, kind, process, left(dyno, ${DYNO_CHARS_MAX}), left(text, ${TEXT_CHARS_MAX}),
      max(by)
    from unnest(
      ${rows.map(({ app }) => app)}::text[],
      ${rows.map(({ timeMs }) => timeToText(timeMs))}::timestamptz[],
      ${rows.map(({ kind }) => kind)}::text[],
      ${rows.map(({ process }) => process)}::text[],
      ${rows.map(({ dyno }) => dyno)}::text[],
      ${rows.map(({ text }) => text)}::text[],
      ${rows.map(({ by }) => by)}::text[]
    ) as cells (app, time, kind, process, dyno, text, by)
    group by 1, 2, 3, 4, 5, 6
    order by 1, 2, 3, 4, 5, 6
    on conflict (app, time, kind, process, dyno, text) do update set
      by = excluded.by
      where excluded.by > lines.by`
}

/** An instance was there from the first sighting to the last. */
export async function mergeDynos(
  sql: Transaction,
  into: 'dynos' | 'dynos_staged',
  rows: readonly DynoCell[],
): Promise<void> {
  await sql`
    insert into ${sql(`shelf.${into}`)} as dynos (app, dyno, instance, first_at, last_at)
    select app, left(dyno, ${DYNO_CHARS_MAX}), left(instance, ${DYNO_CHARS_MAX}), min(first_at),
      max(last_at)
    from unnest(
      ${rows.map(({ app }) => app)}::text[],
      ${rows.map(({ dyno }) => dyno)}::text[],
      ${rows.map(({ instance }) => instance)}::text[],
      ${rows.map(({ firstMs }) => timeToText(firstMs))}::timestamptz[],
      ${rows.map(({ lastMs }) => timeToText(lastMs))}::timestamptz[]
    ) as cells (app, dyno, instance, first_at, last_at)
    group by 1, 2, 3
    order by 1, 2, 3
    on conflict (app, dyno, instance) do update set
      first_at = least(dynos.first_at, excluded.first_at),
      last_at = greatest(dynos.last_at, excluded.last_at)`
}
