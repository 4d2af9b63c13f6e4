/** A chart with its legend, its band of completeness, and its table. */
import type uPlot from 'uplot'
import { count, ms, percent } from '../pages/format.ts'
import type { View } from '../view.ts'
import { drawBand, truthAt } from './band.ts'
import { colour, el } from './dom.ts'
import { heatBounds } from './heat.ts'
import type { Line, PanelSpec } from './panels.ts'
import { dataOf, heightOf, makePlot, type PlotEvents } from './plot.ts'
import { moment } from './time.ts'

/** Rows of a table: the newest; all are in the CSV. */
const TABLE_ROWS_MAX = 400

export interface PanelEvents extends PlotEvents {
  onKey(event: KeyboardEvent): void
  /** Whether a line, `response-time.max`, is shown where it is hidden at first, or the reverse. */
  isSwitched(line: string): boolean
  onSwitch(line: string): void
}

export class Panel {
  readonly root: HTMLElement
  readonly plot: uPlot
  private readonly hidden = new Set<string>()
  private readonly legend = el('ul', { class: 'legend' })
  private readonly chart = el('div', { class: 'chart' })
  private readonly band = el('canvas', { class: 'band', 'aria-hidden': 'true' })
  private readonly foot = el('p', { class: 'foot' })
  private readonly tableBox = el('div', { class: 'table-box', hidden: true })
  private readonly values = new Map<string, { value: HTMLElement; note: HTMLElement }>()
  private at: number | null = null

  constructor(
    private spec: PanelSpec,
    private view: View,
    target: HTMLElement,
    private readonly events: PanelEvents,
  ) {
    for (const { key, isHidden = false } of spec.lines) {
      if (isHidden !== events.isSwitched(`${spec.id}.${key}`)) this.hidden.add(key)
    }
    const tableButton = el(
      'button',
      {
        type: 'button',
        class: 'quiet',
        'aria-expanded': 'false',
        onclick: () => this.toggleTable(tableButton),
      },
      'Table',
    )
    this.chart.tabIndex = 0
    this.chart.setAttribute('role', 'group')
    this.chart.setAttribute('aria-roledescription', 'chart')
    this.chart.setAttribute(
      'aria-label',
      `${spec.title}: ${spec.about}. Arrow keys move through it, plus and minus zoom; the table has all numbers.`,
    )
    this.chart.addEventListener('keydown', (event) => events.onKey(event))
    this.root = el(
      'section',
      { class: `panel ${spec.kind}`, id: spec.id, 'aria-labelledby': `${spec.id}-title` },
      el(
        'header',
        {},
        el('h2', { id: `${spec.id}-title` }, spec.title),
        el('p', { class: 'about' }, spec.about),
        tableButton,
      ),
      el('div', { class: 'plot' }, this.chart, this.band, this.foot),
      this.legend,
      this.tableBox,
    )
    target.append(this.root)
    const context = { view: () => this.view, hidden: () => this.hidden, spec: () => this.spec }
    this.plot = makePlot(context, this.width, events, this.chart)
    this.fillLegend()
    this.draw()
  }

  get width(): number {
    return Math.max(200, this.chart.clientWidth)
  }

  get id(): string {
    return this.spec.id
  }

  /** Whether it can go on with another spec: the same lines. */
  fits(spec: PanelSpec): boolean {
    const keys = (of: PanelSpec): string => of.lines.map(({ key }) => key).join()
    return (
      spec.id === this.spec.id && spec.isLog === this.spec.isLog && keys(spec) === keys(this.spec)
    )
  }

  update(spec: PanelSpec, view: View): void {
    this.spec = spec
    this.view = view
    this.plot.setData(this.data())
    this.draw()
  }

  /** After another width, or other colours. */
  resize(): void {
    this.plot.setSize({ width: this.width, height: heightOf(this.spec) })
    this.draw()
  }

  recolour(): void {
    this.plot.redraw(false, true)
    this.fillLegend()
    this.draw()
  }

  /** Shows the numbers of a step; null: those of the last. */
  show(i: number | null, y?: number): void {
    this.at = i
    const at = i ?? this.last()
    for (const line of this.spec.lines) this.showLine(line, at)
    this.foot.textContent = at < 0 ? 'no data' : this.footWords(at, i !== null, y)
  }

  private footWords(i: number, isHover: boolean, y?: number): string {
    if (isHover && this.spec.kind === 'heat' && y !== undefined) {
      const words = this.cellWords(i, y)
      if (words !== '') return words
    }
    if (isHover) return truthAt(this.view, i)
    const parts = this.view.losses.length
    return parts === 0
      ? ''
      : `${parts} ${parts === 1 ? 'time' : 'times'} in which something is missing`
  }

  private cellWords(i: number, y: number): string {
    const row = Math.floor(this.plot.posToVal(y, 'y'))
    const column = this.view.heat[i] ?? []
    let n = 0
    for (let k = 0; k < column.length; k += 2)
      if (Math.max(0, column[k] ?? 0) === row) n += column[k + 1] ?? 0
    const of = this.view.requests.timed[i] ?? 0
    if (of === 0) return ''
    const [from, to] = heatBounds(row)
    return `${ms(from)} to ${ms(to)}: ${count(n)} of ${count(of)} requests, ${percent(n / of)}`
  }

  private showLine(line: Line, at: number): void {
    const place = this.values.get(line.key)
    if (place === undefined) return
    const value = line.values[at] ?? null
    place.value.textContent = value === null ? '–' : this.spec.format(value)
    place.note.textContent = value === null ? '' : (line.note?.(at) ?? '')
  }

  private last(): number {
    return this.view.isKnown.lastIndexOf(true)
  }

  private data(): uPlot.AlignedData {
    return dataOf({ view: () => this.view, hidden: () => this.hidden, spec: () => this.spec })
  }

  private draw(): void {
    drawBand(this.band, this.view, this.width)
    this.show(this.at)
    if (!this.tableBox.hidden) this.fillTable()
  }

  private fillLegend(): void {
    this.values.clear()
    this.legend.replaceChildren(
      ...this.spec.lines.map((line) => {
        const value = el('span', { class: 'value', 'data-line': line.key })
        const note = el('span', { class: 'note' })
        this.values.set(line.key, { value, note })
        const swatch = el('span', {
          class: `swatch${line.isDashed ? ' dashed' : ''}`,
          'aria-hidden': 'true',
        })
        swatch.style.background = colour(line.colour)
        const name = el('span', { class: 'name' }, line.label)
        if (this.spec.kind === 'strip') return el('li', {}, swatch, name, value, note)
        const button: HTMLButtonElement = el(
          'button',
          {
            type: 'button',
            'aria-pressed': String(!this.hidden.has(line.key)),
            onclick: () => this.toggleLine(line.key, button),
          },
          swatch,
          name,
        )
        return el('li', {}, button, value, note)
      }),
    )
  }

  private toggleLine(key: string, button: HTMLElement): void {
    if (!this.hidden.delete(key)) this.hidden.add(key)
    this.events.onSwitch(`${this.spec.id}.${key}`)
    button.setAttribute('aria-pressed', String(!this.hidden.has(key)))
    this.plot.setData(this.data())
  }

  private toggleTable(button: HTMLElement): void {
    this.tableBox.hidden = !this.tableBox.hidden
    button.setAttribute('aria-expanded', String(!this.tableBox.hidden))
    if (!this.tableBox.hidden) this.fillTable()
  }

  private fillTable(): void {
    const { time } = this.view
    const head = el('tr', {}, el('th', { scope: 'col' }, 'From'))
    for (const { label } of this.spec.lines)
      head.append(el('th', { scope: 'col', class: 'number' }, label))
    head.append(el('th', { scope: 'col' }, 'Truth'))
    const body = el('tbody')
    for (let i = time.length - 1; i >= Math.max(0, time.length - TABLE_ROWS_MAX); i--) {
      const row = el('tr', {}, el('th', { scope: 'row' }, moment(time[i] ?? 0)))
      for (const { values } of this.spec.lines) {
        const value = values[i] ?? null
        row.append(el('td', { class: 'number' }, value === null ? '–' : this.spec.format(value)))
      }
      row.append(el('td', {}, truthAt(this.view, i)))
      body.append(row)
    }
    this.tableBox.replaceChildren(
      el(
        'div',
        {
          class: 'scroll',
          tabindex: '0',
          role: 'region',
          'aria-label': `${this.spec.title}, as a table`,
        },
        el(
          'table',
          {},
          el('caption', {}, `${this.spec.title}: ${this.spec.about}`),
          el('thead', {}, head),
          body,
        ),
      ),
    )
  }
}
