/** The page that compares: its charts share what has passed, and so their cursor. */
import uPlot from 'uplot'
import type { Comparison, Period } from '../compare.ts'
import type { Column } from '../view.ts'
import { AXIS_PX } from './axes.ts'
import { type CompareChart, chartsOf } from './compare-charts.ts'
import { byId, colour, el } from './dom.ts'
import { DOTS } from './series.ts'
import { numberTable, tableButton } from './table.ts'
import { moment, useUtc } from './time.ts'

const HEIGHT_PX = 150
/** Of a panel, both sides, with its border. */
const PADDING_PX = 26
/** Steps of the axis, seconds: as people divide time. */
const STEPS_SECONDS = [60, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 86_400, 2 * 86_400]

export interface CompareData {
  page: 'compare'
  comparison: Comparison
  isUtc: boolean
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

function drawChart(target: HTMLElement, chart: CompareChart, { before, after }: Comparison): uPlot {
  const box = el('div', { class: 'chart' })
  const tableBox = el('div', { class: 'table-box', hidden: true })
  const [beforeItem, showBefore] = legendItem(before.label, 'before', chart.before, chart.format)
  const [afterItem, showAfter] = legendItem(after.label, 'after', chart.after, chart.format)
  const button = tableButton(tableBox, () =>
    tableBox.replaceChildren(tableOf(chart, before, after)),
  )
  target.append(
    el(
      'section',
      { class: 'panel wide', id: `compare-${chart.id}`, 'aria-label': chart.title },
      el('header', {}, el('h2', {}, chart.title), el('p', { class: 'about' }, chart.about), button),
      el('ul', { class: 'legend row' }, beforeItem, afterItem),
      box,
      tableBox,
    ),
  )
  const { stepped } = uPlot.paths
  const line = {
    ...(chart.isDistribution && stepped ? { paths: stepped({ align: 1 }) } : {}),
    points: chart.isDistribution ? { show: false } : DOTS,
  }
  return new uPlot(
    {
      width: widthOf(target),
      height: HEIGHT_PX,
      legend: { show: false },
      padding: [8, 10, 0, 0],
      cursor: {
        y: false,
        drag: { x: false, y: false },
        ...(chart.isDistribution ? {} : { sync: { key: 'elapsed' } }),
      },
      scales: {
        x: { time: false },
        y: { range: (_plot, _least, most) => [0, most === null || most === 0 ? 1 : most * 1.06] },
      },
      axes: axesOf(chart),
      series: [
        {},
        { ...line, stroke: () => colour('before'), width: 1.5, dash: [5, 4] },
        { ...line, stroke: () => colour('after'), width: 1.75 },
      ],
      hooks: {
        setCursor: [
          ({ cursor: { idx } }) => {
            showBefore(idx)
            showAfter(idx)
          },
        ],
      },
    },
    [chart.x, chart.before, chart.after],
    box,
  )
}

type Show = (i: number | null | undefined) => void

function legendItem(
  label: string,
  name: string,
  values: Column,
  format: (value: number) => string,
): [HTMLElement, Show] {
  const text = el('span', { class: 'value' })
  const swatch = el('span', { class: 'swatch', 'aria-hidden': 'true' })
  swatch.style.background = colour(name)
  const item = el('li', {}, swatch, el('span', { class: 'name' }, label), text)
  return [
    item,
    (i) => {
      const value = i === null || i === undefined ? null : (values[i] ?? null)
      text.textContent = value === null ? '' : format(value)
    },
  ]
}

function axesOf({ isDistribution, formatX, format }: CompareChart): uPlot.Axis[] {
  const axis: uPlot.Axis = {
    stroke: () => colour('muted'),
    font: '11px system-ui, sans-serif',
    ticks: { show: false },
  }
  return [
    {
      ...axis,
      size: 28,
      gap: 8,
      space: 70,
      grid: { show: false },
      incrs: isDistribution ? [4, 8, 16] : STEPS_SECONDS,
      values: (_plot, splits) => splits.map(formatX),
    },
    {
      ...axis,
      size: AXIS_PX,
      gap: 6,
      space: 34,
      grid: { stroke: () => colour('grid'), width: 1 },
      values: (_plot, splits) => splits.map(format),
    },
  ]
}

function tableOf(
  { title, about, head, table, format }: CompareChart,
  before: Period,
  after: Period,
): HTMLElement {
  const columns = [
    { label: before.label, values: table.before, format },
    { label: after.label, values: table.after, format },
  ]
  return numberTable({ title, about, head, names: table.names, columns }, false)
}
