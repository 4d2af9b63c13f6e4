/** What is said above and under the charts: of when they are, and what is missing. */
import type uPlot from 'uplot'
import { age, length } from '../pages/format.ts'
import type { View } from '../view.ts'
import { lossWords, truthAt } from './band.ts'
import { byId, el } from './dom.ts'
import { markerWords } from './lane.ts'
import { between, clock, moment } from './time.ts'

/** Rows come within seconds: silence of this long is worth a word. */
const STALE_MS = 5 * 60_000
/** A line is met by a pointer this near, px. */
const MARKER_PX = 5

/** A banner where nothing is new, and what is missing, in words. */
export function drawTruth(view: View, problem: string): void {
  const banner = byId('banner')
  const words = problem === '' ? staleWords(view) : problem
  if (banner !== null && banner.textContent !== words) {
    banner.replaceChildren(words === '' ? '' : el('p', { class: 'banner' }, words))
  }
  const losses = view.losses.toReversed().map((loss) => el('li', {}, lossWords(loss)))
  byId('losses')?.replaceChildren(
    ...(losses.length === 0 ? [] : [el('h2', {}, 'What is missing'), el('ul', {}, ...losses)]),
  )
}

function staleWords({ lastAtMs, nowMs }: View): string {
  if (lastAtMs === null || nowMs - lastAtMs <= STALE_MS) return ''
  const since = moment(lastAtMs / 1000)
  return `No data since ${since}, ${age((nowMs - lastAtMs) / 1000)} ago: what is shown is not live.`
}

/** The line above the charts: of when the numbers beside them are. `from`: where the pointer is. */
export function drawReadout(view: View, i: number | null, from: uPlot | undefined): void {
  byId('readout')?.replaceChildren(...(i === null ? restWords(view) : stepWords(view, i, from)))
}

function restWords(view: View): (Node | string)[] {
  const { sinceMs, untilMs, stepMs, nowMs } = view
  const range = el('strong', {}, between(sinceMs / 1000, Math.min(untilMs, nowMs) / 1000))
  const last = view.time[view.isKnown.lastIndexOf(true)]
  const steps = `in steps of ${length(stepMs / 1000)}`
  return last === undefined
    ? [range, `${steps}, none with data`]
    : [
        range,
        `${steps}; numbers: the last, from ${stepMs < 86_400_000 ? clock(last) : moment(last)}`,
      ]
}

function stepWords(view: View, i: number, from: uPlot | undefined): (Node | string)[] {
  const start = view.time[i] ?? 0
  const step = el('strong', {}, between(start, start + view.stepMs / 1000))
  const near =
    from === undefined
      ? []
      : view.markers.filter(
          ({ time }) => Math.abs(from.valToPos(time, 'x') - (from.cursor.left ?? -99)) <= MARKER_PX,
        )
  const words = [step, truthAt(view, i)]
  if (near.length === 0) return words
  return [...words, el('span', { class: 'marker' }, near.map(markerWords).join(' · '))]
}
