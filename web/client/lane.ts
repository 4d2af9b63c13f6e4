/** The events of an app, in a lane above the charts: a flag each, with its text on hover and focus. */

import type { Marker } from '../read/markers.ts'
import type { View } from '../view.ts'
import { AXIS_PX, RIGHT_PX } from './axes.ts'
import { colour, el } from './dom.ts'
import { markerColour } from './paint.ts'
import { moment } from './time.ts'

/** Room for the letters of a word beside a flag, and for a flag alone, px. */
const LETTER_PX = 6.6
const FLAG_PX = 15

export function drawLane(lane: HTMLElement, view: View, width: number): void {
  const scale = (width - AXIS_PX - RIGHT_PX) / ((view.untilMs - view.sinceMs) / 1000)
  const groups: { x: number; markers: Marker[] }[] = []
  for (const marker of view.markers) {
    const x = AXIS_PX + (marker.time - view.sinceMs / 1000) * scale
    const last = groups.at(-1)
    if (last !== undefined && x - last.x < FLAG_PX) last.markers.push(marker)
    else groups.push({ x, markers: [marker] })
  }
  lane.replaceChildren(
    ...groups.map(({ x, markers }, i) => {
      const room = (groups[i + 1]?.x ?? width) - x
      return flag(x, markers, room, x > width / 2)
    }),
  )
}

const WEIGHT = [
  'incident',
  'maintenance',
  'crash',
  'deploy',
  'rollback',
  'release',
  'config',
  'scale',
  'addon',
]

function flag(x: number, markers: Marker[], room: number, isRight: boolean): HTMLElement {
  const weight = ({ kind }: Marker): number =>
    (WEIGHT.indexOf(kind) + WEIGHT.length) % WEIGHT.length
  const [main = markers[0]] = markers.toSorted((a, b) => weight(a) - weight(b))
  const name = main === undefined ? '' : nameOf(main)
  const words = markers.map(markerWords).join('\n')
  const number = markers.length > 1 ? String(markers.length) : ''
  // What is to be seen comes first, so that one who says it aloud finds it.
  const label = `${number} ${name}: ${words}`.trim()
  const pin = el('span', { class: 'pin', 'aria-hidden': 'true' }, number)
  const button = el(
    'button',
    {
      type: 'button',
      class: `flag${isRight ? ' right' : ''}`,
      'aria-label': label,
      'data-words': words,
    },
    pin,
    ' ',
    room >= FLAG_PX + name.length * LETTER_PX
      ? el('span', { class: 'word', 'aria-hidden': 'true' }, name)
      : null,
    el('span', { class: 'tip', 'aria-hidden': 'true' }, words),
  )
  button.style.left = `${x}px`
  pin.style.background = colour(markerColour(main?.kind ?? ''))
  return button
}

const text = (detail: Marker['detail'], name: string): string => {
  const value = detail[name]
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

function nameOf({ kind, process, detail }: Marker): string {
  if (kind === 'deploy' || kind === 'release' || kind === 'rollback') {
    return text(detail, 'version') || kind
  }
  return kind === 'scale' ? `${process} ×${text(detail, 'quantity')}` : kind
}

/** `Mon, 23 Nov 14:02 deploy v42 1a2b3c4, by 9f3c2a11` */
export function markerWords(marker: Marker): string {
  const { time, kind, process, by, detail } = marker
  const parts = [moment(time), kind, process, text(detail, 'version'), marker.text]
  const dynos = Array.isArray(detail.dynos) ? detail.dynos.join(', ') : ''
  const restarted = Array.isArray(detail.restarted)
    ? `restarted ${detail.restarted.join(', ')}`
    : ''
  const until =
    (kind === 'maintenance' || kind === 'incident') && text(detail, 'until') !== ''
      ? `until ${moment(Date.parse(text(detail, 'until')) / 1000)}`
      : ''
  const more = [dynos, restarted, until, by === '' ? '' : `by ${by}`].filter((part) => part !== '')
  const line = [...new Set(parts.filter((part) => part !== ''))].join(' ')
  return more.length === 0 ? line : `${line} (${more.join('; ')})`
}
