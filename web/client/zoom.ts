/** Ranges that a zoom leads to, seconds since 1970: from, to. */
import type { View } from '../view.ts'

export type Zoom = [since: number, until: number]

/** A few steps of a minute, at least. */
const SECONDS_MIN = 300

type Shown = Pick<View, 'sinceMs' | 'untilMs' | 'time'>

/** What was dragged over, or five minutes around it. */
export function atLeast(since: number, until: number): Zoom {
  const middle = (since + until) / 2
  const half = Math.max(until - since, SECONDS_MIN) / 2
  return [Math.max(0, middle - half), middle + half]
}

/** Half of what is shown, around a step. */
export function aroundStep({ sinceMs, untilMs, time }: Shown, i: number): Zoom {
  const quarter = (untilMs - sinceMs) / 4000
  const middle = time[i] ?? sinceMs / 1000
  return atLeast(middle - quarter, middle + quarter)
}

/** Twice what is shown, which never ends after now. */
export function wider({ sinceMs, untilMs }: Shown): Zoom {
  const span = (untilMs - sinceMs) / 1000
  const until = Math.min(untilMs / 1000 + span / 2, Date.now() / 1000)
  return atLeast(until - span * 2, until)
}
