/** The band under each chart: how complete its numbers are, step by step. */

import { count, percent } from '../pages/format.ts'
import type { Loss } from '../read/truth.ts'
import type { View } from '../view.ts'
import { RIGHT_PX } from './axes.ts'
import { colour } from './dom.ts'
import { between } from './time.ts'

const BAND_PX = 5

/** @param axisPx how far from its left the chart above begins */
export function drawBand(
  canvas: HTMLCanvasElement,
  view: View,
  width: number,
  axisPx: number,
): void {
  const ratio = devicePixelRatio
  canvas.width = width * ratio
  canvas.height = BAND_PX * ratio
  canvas.style.width = `${width}px`
  canvas.style.height = `${BAND_PX}px`
  const context = canvas.getContext('2d')
  if (context === null) return
  const { time, stepMs, sinceMs, untilMs, completeness, isKnown, nowMs } = view
  const scale = ((width - axisPx - RIGHT_PX) * ratio) / ((untilMs - sinceMs) / 1000)
  const pxOf = (seconds: number): number =>
    Math.round(axisPx * ratio + (seconds - sinceMs / 1000) * scale)
  const names = time
    .filter((bucket) => bucket <= nowMs / 1000)
    .map((_, i) => {
      const share = completeness[i] ?? null
      if (!isKnown[i]) return 'band-none'
      if (share === null) return 'band-unknown'
      return share < 1 ? 'band-part' : 'band-whole'
    })
  // Steps that are alike are drawn as one. Whole pixels, so that neighbours leave no seam.
  for (let from = 0, to = 0; from < names.length; from = to) {
    while (to < names.length && names[to] === names[from]) to++
    const left = pxOf(time[from] ?? 0)
    const right = pxOf((time[to - 1] ?? 0) + stepMs / 1000)
    context.fillStyle = colour(names[from] ?? '')
    context.fillRect(left, 0, Math.max(1, right - left), BAND_PX * ratio)
  }
}

/** `500 messages lost upstream, Mon, 23 Nov 14:02–14:05` */
export function lossWords(loss: Loss): string {
  const { lostUpstream, lostHere, malformed, isUnknown } = loss
  const parts = [
    lostUpstream > 0 ? `${messages(lostUpstream)} lost upstream` : '',
    lostHere > 0 ? `${count(lostHere)} bursts lost here` : '',
    malformed > 0 ? `${messages(malformed)} could not be read` : '',
    isUnknown ? 'how much is missing is not known: the log was replaced, lost records or grew' : '',
  ]
  return `${parts.filter((part) => part !== '').join(', ')}, ${between(loss.since, loss.until)}`
}

const messages = (n: number): string => `${count(n)} ${n === 1 ? 'message' : 'messages'}`

/** Of one step, in words. */
export function truthAt(view: View, i: number): string {
  const from = view.time[i] ?? 0
  const to = from + view.stepMs / 1000
  if (!view.isKnown[i]) return from > view.nowMs / 1000 ? 'not yet' : 'no data'
  const share = view.completeness[i] ?? null
  const losses = view.losses.filter(({ since, until }) => since < to && until > from)
  const words = losses.map(lossWords).join('; ')
  const complete = share === null ? 'completeness not known' : `${percent(share)} complete`
  const soFar = to > view.nowMs / 1000 ? ' so far' : ''
  return `${complete}${soFar}${words === '' ? '' : `: ${words}`}`
}
