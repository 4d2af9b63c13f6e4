/** A chart with its legend, its band of completeness, and its table. */
import type uPlot from 'uplot'
import { count, ms, percent } from '../pages/format.ts'
import type { View } from '../view.ts'
import { axisPx } from './axes.ts'
import { drawBand, lossWords, truthAt } from './band.ts'
import { el } from './dom.ts'
import { cellAt } from './heat.ts'
import { Legend } from './legend.ts'
import type { PanelSpec } from './panels.ts'
import { heightOf, makePlot, type PlotContext, type PlotEvents } from './plot.ts'
import { dataOf } from './series.ts'
import { numberTable, tableButton } from './table.ts'
import { moment } from './time.ts'

const WIDTH_PX_MIN = 160

export interface PanelEvents extends PlotEvents {
  onKey(event: KeyboardEvent): void
  /** Whether a line, `response-time.max`, is shown where it is hidden at first, or the reverse. */
  isSwitched(line: string): boolean
  onSwitch(line: string): void
  /** Another look at the same: `by`, `code`. */
  onChoice(name: string, value: string): void
}

export class Panel {
  readonly root: HTMLElement
  readonly plot: uPlot
  private readonly hidden = new Set<string>()
  private readonly legend: Legend
  private readonly chart = el('div', { class: 'chart', tabindex: '0', role: 'group' })
  private readonly band = el('canvas', { class: 'band', 'aria-hidden': 'true' })
  private readonly foot = el('p', { class: 'foot' })
  private readonly tableBox = el('div', { class: 'table-box', hidden: true })
  private readonly tableButton = tableButton(this.tableBox, () => this.fillTable())
  private readonly context: PlotContext
  private at: number | null = null

  /**
   * @param place puts it into the page, before it is drawn
   * @param width of its chart, px, where that is known; to measure it takes a layout of the page
   */
  constructor(
    private spec: PanelSpec,
    private view: View,
    private readonly events: PanelEvents,
    place: (root: HTMLElement) => void,
    width?: number,
  ) {
    for (const { key, isHidden = false } of spec.lines) {
      if (isHidden !== events.isSwitched(`${spec.id}.${key}`)) this.hidden.add(key)
    }
    this.context = { view: () => this.view, hidden: () => this.hidden, spec: () => this.spec }
    this.legend = new Legend(this.hidden, (key) => {
      events.onSwitch(`${spec.id}.${key}`)
      this.plot.setData(dataOf(this.context))
    })
    this.chart.setAttribute('aria-roledescription', 'chart')
    this.chart.setAttribute(
      'aria-label',
      `${spec.title}: ${spec.about}. Arrow keys move through it, plus and minus zoom; the table has all numbers.`,
    )
    this.chart.addEventListener('keydown', (event) => events.onKey(event))
    this.root = el(
      'section',
      {
        class: `panel ${spec.kind}${spec.isSmall ? ' small' : ''}`,
        id: spec.id,
        'aria-labelledby': `${spec.id}-title`,
      },
      this.header(),
      el('div', { class: 'plot' }, this.chart, this.band, this.foot),
      this.legend.root,
      this.tableBox,
    )
    place(this.root)
    this.plot = makePlot(this.context, width ?? this.measured(), events, this.chart)
    this.legend.fill(spec)
    this.draw()
  }

  private header(): HTMLElement {
    const { id, title, about, choice } = this.spec
    return el(
      'header',
      {},
      el('h2', { id: `${id}-title`, title }, title),
      el('p', { class: 'about', title: about }, about),
      choice &&
        el(
          'button',
          {
            type: 'button',
            class: 'quiet choice',
            'aria-pressed': String(choice.isChosen),
            onclick: () => this.events.onChoice(choice.name, choice.value),
          },
          choice.words,
        ),
      this.tableButton,
    )
  }

  /** Of its chart, px. */
  get width(): number {
    return this.plot.width
  }

  private measured(): number {
    return Math.max(WIDTH_PX_MIN, this.chart.clientWidth)
  }

  get id(): string {
    return this.spec.id
  }

  /** Whether it can go on with another spec: the same lines, looked at in the same way. */
  fits(spec: PanelSpec): boolean {
    const looks = ({ id, choice, lines }: PanelSpec): string =>
      [id, choice?.isChosen, ...lines.map(({ key }) => key)].join()
    return looks(spec) === looks(this.spec)
  }

  update(spec: PanelSpec, view: View): void {
    this.spec = spec
    this.view = view
    this.plot.setData(dataOf(this.context))
    this.draw()
  }

  /** Goes on where another one of the same name was: with its table, and the focus in it. */
  takeOver({ tableBox, root }: Panel): void {
    if (!tableBox.hidden) this.tableButton.click()
    const focused = document.activeElement
    if (focused === null || !root.contains(focused)) return
    const same = [...focused.classList].map((name) => `.${name}`).join('')
    const next = same === '' ? this.chart : this.root.querySelector<HTMLElement>(same)
    ;(next ?? this.chart).focus()
  }

  remove(): void {
    this.plot.destroy()
    this.root.remove()
  }

  /** After another width, or other colours. */
  resize(): void {
    const width = this.measured()
    if (this.width === width) return
    this.plot.setSize({ width, height: heightOf(this.spec) })
    this.draw()
  }

  recolour(): void {
    this.plot.redraw(false, true)
    this.legend.fill(this.spec)
    this.draw()
  }

  /** Shows the numbers of a step; null: those of the last. `y`: where the pointer is, px. */
  show(i: number | null, y?: number): void {
    this.at = i
    const at = i ?? this.last()
    this.legend.show(this.spec, at)
    this.foot.textContent = i !== null ? this.words(i, y) : at < 0 ? 'no data' : this.restWords()
  }

  /** The last step with data; of a metric, which comes more seldom, the last that has it. */
  private last(): number {
    const { spec, view } = this
    if (!spec.isSmall) return view.isKnown.lastIndexOf(true)
    return Math.max(...spec.lines.map(({ values }) => values.findLastIndex((n) => n !== null)))
  }

  private words(i: number, y?: number): string {
    if (this.spec.kind === 'heat' && y !== undefined) {
      const cell = cellAt(this.view.heat, i, Math.floor(this.plot.posToVal(y, 'y')))
      const of = this.view.requests.timed[i] ?? 0
      if (cell !== undefined && of > 0) {
        return `${ms(cell.from)} to ${ms(cell.to)}: ${count(cell.n)} of ${count(of)} requests, ${percent(cell.n / of)}`
      }
    }
    return truthAt(this.view, i)
  }

  /** The newest of what is missing; all of it is listed under the charts. */
  private restWords(): string {
    const newest = this.view.losses.at(-1)
    if (newest === undefined || this.spec.isSmall) return ''
    const more = this.view.losses.length - 1
    return `${lossWords(newest)}${more === 0 ? '' : `, and ${more} more: below`}`
  }

  private draw(): void {
    drawBand(this.band, this.view, this.width, axisPx(this.spec))
    this.show(this.at)
    if (!this.tableBox.hidden) this.fillTable()
  }

  private fillTable(): void {
    const { spec, view } = this
    const { title, about, format, lines, tableColumns } = spec
    const columns = lines.map(({ label, values }) => ({ label, values, format }))
    const table = numberTable(
      {
        title,
        about,
        head: 'From',
        names: view.time.map(moment),
        columns: [...columns, ...(tableColumns?.() ?? [])],
        last: { label: 'Truth', words: (i) => truthAt(view, i) },
      },
      true,
    )
    // It is filled again while somebody may read it.
    const before = this.tableBox.firstElementChild
    const [top, left] = [before?.scrollTop ?? 0, before?.scrollLeft ?? 0]
    const hadFocus = before !== null && before === document.activeElement
    this.tableBox.replaceChildren(table)
    table.scrollTo(left, top)
    if (hadFocus) table.focus({ preventScroll: true })
  }
}
