/** The charts of a comparison: two times laid over each other, by what has passed of each. */
import uPlot from 'uplot'
import type { Comparison, Period } from '../compare.ts'
import { count, ms, percent, short } from '../pages/format.ts'
import type { Column } from '../view.ts'
import { byId, colour, el } from './dom.ts'
import { heatBounds } from './heat.ts'
import { moment, useUtc } from './time.ts'

const HEIGHT_PX = 150
const AXIS_PX = 62
/** Of a panel, both sides, with its border. */
const PADDING_PX = 26
/** Steps of the axis, seconds: as people divide time. */
const STEPS_SECONDS = [60, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 86_400]

export interface CompareData {
  page: 'compare'
  comparison: Comparison
  isUtc: boolean
}

interface Chart {
  id: string
  title: string
  about: string
  x: number[]
  before: Column
  after: Column
  formatX: (x: number) => string
  isDistribution?: boolean
  format: (y: number) => string
}

export class ComparePage {
  private plots: uPlot[] = []

  constructor(private readonly data: CompareData) {
    useUtc(data.isUtc)
    for (const time of document.querySelectorAll<HTMLTimeElement>('time')) {
      time.textContent = moment(Date.parse(time.dateTime) / 1000)
    }
    this.draw()
    const target = byId('panels')
    if (target !== null) {
      new ResizeObserver(() => {
        for (const plot of this.plots) plot.setSize({ width: widthOf(target), height: HEIGHT_PX })
      }).observe(target)
    }
  }

  recolour(): void {
    this.draw()
  }

  private draw(): void {
    const target = byId('panels')
    if (target === null) return
    for (const plot of this.plots) plot.destroy()
    target.replaceChildren()
    const { comparison } = this.data
    this.plots = chartsOf(comparison).map((chart) => drawChart(target, chart, comparison))
  }
}

const widthOf = (target: HTMLElement): number => Math.max(200, target.clientWidth - PADDING_PX)

function chartsOf({ elapsed, before, after, stepMs }: Comparison): Chart[] {
  // A period that begins within a step comes by the minute.
  const length = Math.max(before.p95.length, after.p95.length)
  const stepS = length > elapsed.length ? 60 : stepMs / 1000
  const x = Array.from({ length }, (_, i) => i * stepS)
  const over = (
    title: string,
    about: string,
    key: 'p95' | 'p50' | 'throughput' | 'errors',
    format: Chart['format'],
  ): Chart => ({
    id: key,
    title,
    about,
    x,
    before: padded(before[key], length),
    after: padded(after[key], length),
    formatX: passed,
    format,
  })
  return [
    over('p95', 'service time', 'p95', ms),
    over('Throughput', 'requests a minute', 'throughput', (value) =>
      count(Number(short(value).replaceAll(',', ''))),
    ),
    over('Errors', 'share that failed', 'errors', percent),
    distribution(before, after),
  ]
}

const padded = (column: Column, length: number): Column =>
  Array.from({ length }, (_, i) => column[i] ?? null)

/** Both distributions as shares, so that they compare where one has more requests. */
function distribution(before: Period, after: Period): Chart {
  const rows = (heat: readonly number[]): Map<number, number> => {
    const map = new Map<number, number>()
    for (let k = 0; k < heat.length; k += 2) {
      const row = Math.max(0, heat[k] ?? 0)
      map.set(row, (map.get(row) ?? 0) + (heat[k + 1] ?? 0))
    }
    return map
  }
  const [was, is] = [rows(before.totals.heat), rows(after.totals.heat)]
  const all = [...was.keys(), ...is.keys()]
  const [low, high] = [Math.min(...all, 0), Math.max(...all, 32)]
  const first = all.length === 0 ? 0 : Math.max(low, Math.min(...all))
  const x = Array.from({ length: high - first + 1 }, (_, i) => first + i)
  const share = (of: Map<number, number>, total: number): Column =>
    x.map((row) => (total === 0 ? null : (of.get(row) ?? 0) / total))
  return {
    id: 'distribution',
    title: 'Distribution',
    about: 'share of requests by response time',
    x,
    before: share(was, before.totals.timed),
    after: share(is, after.totals.timed),
    isDistribution: true,
    formatX: (row) => ms(heatBounds(Math.round(row))[0]),
    format: percent,
  }
}

function passed(seconds: number): string {
  if (seconds === 0) return 'begin'
  if (seconds >= 86_400) return `day ${Math.floor(seconds / 86_400) + 1}`
  return seconds >= 3600 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 60)} min`
}

function drawChart(target: HTMLElement, chart: Chart, { before, after }: Comparison): uPlot {
  const box = el('div', { class: 'chart' })
  const value = (label: string, name: string): [HTMLElement, HTMLElement] => {
    const text = el('span', { class: 'value' })
    const swatch = el('span', { class: 'swatch', 'aria-hidden': 'true' })
    swatch.style.background = colour(name)
    return [el('li', {}, swatch, el('span', { class: 'name' }, label), text), text]
  }
  const [beforeItem, beforeText] = value(before.label, 'before')
  const [afterItem, afterText] = value(after.label, 'after')
  target.append(
    el(
      'section',
      { class: 'panel wide', id: `compare-${chart.id}` },
      el('header', {}, el('h2', {}, chart.title), el('p', { class: 'about' }, chart.about)),
      el('ul', { class: 'legend row' }, beforeItem, afterItem),
      box,
    ),
  )
  const axis = {
    stroke: () => colour('muted'),
    font: '11px system-ui, sans-serif',
    ticks: { show: false },
  }
  const text = (values: Column, i: number | null | undefined): string => {
    const at = i === null || i === undefined ? null : (values[i] ?? null)
    return at === null ? '' : chart.format(at)
  }
  const { stepped } = uPlot.paths
  const paths = chart.isDistribution && stepped ? { paths: stepped({ align: 1 }) } : {}
  return new uPlot(
    {
      width: widthOf(target),
      height: HEIGHT_PX,
      legend: { show: false },
      padding: [8, 10, 0, 0],
      cursor: { y: false, drag: { x: false, y: false } },
      scales: {
        x: { time: false },
        y: { range: (_plot, _least, most) => [0, most === null || most === 0 ? 1 : most * 1.06] },
      },
      axes: [
        {
          ...axis,
          size: 24,
          gap: 4,
          space: 70,
          grid: { show: false },
          incrs: chart.isDistribution ? [4, 8, 16] : STEPS_SECONDS,
          values: (_plot, splits) => splits.map(chart.formatX),
        },
        {
          ...axis,
          size: AXIS_PX,
          gap: 6,
          space: 34,
          grid: { stroke: () => colour('grid'), width: 1 },
          values: (_plot, splits) => splits.map(chart.format),
        },
      ],
      series: [
        {},
        {
          ...paths,
          stroke: () => colour('before'),
          width: 1.5,
          dash: [5, 4],
          points: { show: false },
        },
        { ...paths, stroke: () => colour('after'), width: 1.75, points: { show: false } },
      ],
      hooks: {
        setCursor: [
          (plot) => {
            beforeText.textContent = text(chart.before, plot.cursor.idx)
            afterText.textContent = text(chart.after, plot.cursor.idx)
          },
        ],
      },
    },
    [chart.x, chart.before, chart.after],
    box,
  )
}
