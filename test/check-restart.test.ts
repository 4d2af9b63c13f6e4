/** Whoever checks, from wherever, writes the same records; and nothing is said twice. */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import type { AggregateRecord } from '../core/aggregate-record.ts'
import type { CheckRecord } from '../core/check-result.ts'
import { at, check, checkAgain, History } from './check-history.ts'

const MINUTES = 90

/** A bit of everything: rules that come and go, holes, deploys, silences, quiet apps. */
const arbitraryHistory = fc
  .record({
    values: fc.array(fc.constantFrom(0, 100, 700, 700, 900, 2000), {
      minLength: 80,
      maxLength: 80,
    }),
    lost: fc.array(fc.nat(79), { maxLength: 4 }),
    deploys: fc.array(fc.nat(79), { maxLength: 12 }),
    outage: fc.nat(60),
    edit: fc.nat(70),
    late: fc.array(fc.nat(70), { maxLength: 5 }),
  })
  .map(({ values, lost, deploys, outage, edit, late }) => {
    const history = new History()
    const slow = { metric: 'mean', threshold: 800, windowMinutes: 3, recoveryThreshold: 600 }
    history.rule({ ...slow, id: 'slow', recoveryMinutes: 4, reminderMinutes: 5 })
    history.rule({ ...slow, id: 'muted', recoveryMinutes: 2, deployMuteMinutes: 4 })
    history.rule({ ...slow, id: 'all', apps: ['*'], metric: 'no-data', recoveryThreshold: null })
    history.rule({ ...slow, id: 'late' }, at(edit, 20))
    history.rule({ ...slow, id: 'slow', threshold: 1000, recoveryMinutes: 3 }, at(edit, 30))
    history.silence(at(edit), at(edit + 9), at(edit, 40))
    history.unrule('muted', at(edit + 15, 10))
    history.outage(at(outage, 10), at(outage + 5, 10))
    values.forEach((serviceMs, m) => {
      if (m >= outage && m <= outage + 5) return
      if (serviceMs > 0) history.minute(m, { serviceMs })
      history.minute(m, { app: m % 7 < 4 ? 'shop' : 'blog' })
    })
    for (const m of late) history.minute(m, { serviceMs: 5000 }, at(m + 3, 33))
    for (const m of lost) history.ledger(m, { lostL10: 500 })
    for (const m of deploys) history.deploy(m)
    return history
  })

const byKey = (records: readonly CheckRecord[]): Map<string, CheckRecord> =>
  new Map(records.map((record) => [record.key, record]))

/** Where a worker may die, with a checkpoint behind it: `after` records later each time. */
function deaths(all: readonly CheckRecord[], after: number): number[] {
  return all.flatMap(({ kind }, i) =>
    kind === 'checkpoint' ? [Math.min(i + 1 + after, all.length)] : [],
  )
}

test('who starts anew, wherever the one before died, writes what it would have, and no more', () => {
  fc.assert(
    fc.property(arbitraryHistory, fc.nat(5), (history, after) => {
      const aggregates = history.until(MINUTES)
      const all = check(history, MINUTES)
      const places = deaths(all, after)
      expect(places.length).toBeGreaterThan(5)
      for (const died of places) {
        const written = all.slice(0, died)
        const again = checkAgain(history, aggregates, written)
        expect(byKey(again)).toEqual(byKey(all.slice(died)))
      }
    }),
    { numRuns: 40 },
  )
})

test('cells that were written twice, by two aggregators, change nothing', () => {
  fc.assert(
    fc.property(arbitraryHistory, fc.nat(20), fc.nat(200), (history, behind, from) => {
      const aggregates = history.until(MINUTES)
      const twice = aggregates.flatMap((record, i): AggregateRecord[] => {
        const repeated = i >= from ? aggregates[i - behind] : undefined
        return repeated === undefined ? [record] : [record, repeated]
      })
      expect(checkAgain(history, twice, [])).toEqual(check(history, MINUTES))
    }),
    { numRuns: 30 },
  )
})

test('no incident begins twice, and none ends that did not begin', () => {
  fc.assert(
    fc.property(arbitraryHistory, (history) => {
      const open = new Map<string, string>()
      for (const record of check(history, MINUTES)) {
        if (record.kind !== 'change') continue
        const series = `${record.rule}/${record.app}`
        const before = open.get(series)
        if (before !== undefined) expect(record.incident).toBe(before)
        else if (record.incident !== null) expect(record.state).toBe('firing')
        if (record.state === 'ok' || record.incident === null) open.delete(series)
        else open.set(series, record.incident)
      }
    }),
    { numRuns: 50 },
  )
})
