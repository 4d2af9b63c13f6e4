/**
 * What a burst holds beside requests: points of metrics, markers, and which dynos were seen. Row by
 * row over one table of strings: there are few of them, and of many kinds.
 */
import type { ByteReader, ByteWriter } from './bytes.ts'
import { MARKER_KINDS, type Marker } from './marker.ts'
import { POINT_KINDS, type Point, type PointKind } from './point.ts'
import { TIME_MS_MAX } from './time.ts'
import { VALUE_MAX } from './units.ts'

/** That an instance of a dyno was there: its id changes whenever it is started anew. */
export interface DynoSighting {
  /** Unix ms. */
  timeMs: number
  /** `web.1` */
  dyno: string
  instance: string
}

export interface Signals {
  points: Point[]
  markers: Marker[]
  dynos: DynoSighting[]
}

export function emptySignals(): Signals {
  return { points: [], markers: [], dynos: [] }
}

export function hasSignals({ points, markers, dynos }: Signals): boolean {
  return points.length + markers.length + dynos.length > 0
}

/** What sums and histograms would refuse later, and what no JSON holds, is not passed on. */
function checkTime(timeMs: number): void {
  const exists = Number.isInteger(timeMs) && timeMs >= 0 && timeMs <= TIME_MS_MAX
  if (!exists) throw new RangeError(`a time of ${timeMs}`)
}

function checkValue(kind: PointKind, value: number): void {
  const most = Math.abs(value) <= VALUE_MAX
  if (!most || (kind !== 'gauge' && value < 0)) throw new RangeError(`a ${kind} of ${value}`)
}

/**
 * Times are written relative to `baseMs`.
 * @throws RangeError where it could not be read back
 */
export function writeSignals(writer: ByteWriter, signals: Signals, baseMs: number): void {
  const indexes = new Map<string, number>()
  const indexOf = (text: string): number => {
    const index = indexes.get(text) ?? indexes.size
    indexes.set(text, index)
    return index
  }
  const points = signals.points.map((point) => ({
    ...point,
    texts: [point.process, point.name, point.source].map(indexOf),
  }))
  const markers = signals.markers.map((marker) => ({
    ...marker,
    texts: [marker.process, marker.dyno, marker.text, marker.by].map(indexOf),
  }))
  const dynos = signals.dynos.map((sighting) => ({
    ...sighting,
    texts: [sighting.dyno, sighting.instance].map(indexOf),
  }))
  writer.varint(indexes.size)
  for (const text of indexes.keys()) writer.string(text)
  const row = (timeMs: number, texts: number[]): void => {
    checkTime(timeMs)
    writer.signed(timeMs - baseMs)
    for (const index of texts) writer.varint(index)
  }
  writer.varint(points.length)
  for (const { kind, timeMs, texts, value } of points) {
    writer.byte(POINT_KINDS.indexOf(kind))
    row(timeMs, texts)
    checkValue(kind, value)
    writer.float(value)
  }
  writer.varint(markers.length)
  for (const { kind, timeMs, texts } of markers) {
    writer.byte(MARKER_KINDS.indexOf(kind))
    row(timeMs, texts)
  }
  writer.varint(dynos.length)
  for (const { timeMs, texts } of dynos) row(timeMs, texts)
}

/** @throws RangeError where it is not what was written */
export function readSignals(reader: ByteReader, baseMs: number): Signals {
  const texts = rows(reader, () => reader.string())
  const text = (): string => at(texts, reader.varint())
  const time = (): number => {
    const timeMs = baseMs + reader.signed()
    checkTime(timeMs)
    return timeMs
  }
  const points = rows(reader, (): Point => {
    const kind = at(POINT_KINDS, reader.byte())
    const point = { kind, timeMs: time(), process: text(), name: text(), source: text() }
    const value = reader.float()
    checkValue(kind, value)
    return { ...point, value }
  })
  const markers = rows(reader, (): Marker => {
    const kind = at(MARKER_KINDS, reader.byte())
    return { kind, timeMs: time(), process: text(), dyno: text(), text: text(), by: text() }
  })
  const dynos = rows(reader, () => ({ timeMs: time(), dyno: text(), instance: text() }))
  return { points, markers, dynos }
}

/** Rows behind their count. A row takes at least a byte, so a count beyond the bytes is a lie. */
function rows<Row>(reader: ByteReader, read: () => Row): Row[] {
  const count = reader.varint()
  if (count > reader.left) throw new RangeError(`${count} rows in ${reader.left} bytes`)
  return Array.from({ length: count }, read)
}

function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index]
  if (item === undefined) throw new RangeError(`an index of ${index} points behind its table`)
  return item
}
