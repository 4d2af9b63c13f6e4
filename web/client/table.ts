/** A chart as a table: for who can't see it, and for who wants the numbers. */
import type { Column } from '../view.ts'
import { el } from './dom.ts'

/** The newest; all are in the CSV. */
const ROWS_MAX = 400

export interface NumberTable {
  title: string
  about: string
  /** What the rows are named by: `From`. */
  head: string
  /** Of each row. */
  names: string[]
  columns: { label: string; values: Column; format: (value: number) => string }[]
  /** Words at the end of each row, and what they are. */
  last?: { label: string; words: (i: number) => string }
}

/** With the last row first where rows are times: what is new is what people look for. */
export function numberTable(
  { title, about, head, names, columns, last }: NumberTable,
  isNewestFirst: boolean,
): HTMLElement {
  const places = names.map((_, i) => i)
  const shown = (isNewestFirst ? places.toReversed() : places).slice(0, ROWS_MAX)
  const cell = ({ values, format }: NumberTable['columns'][number], i: number): HTMLElement => {
    const value = values[i] ?? null
    return el('td', { class: 'number' }, value === null ? '–' : format(value))
  }
  const table = el(
    'table',
    {},
    el('caption', {}, `${title}: ${about}`),
    el(
      'thead',
      {},
      el(
        'tr',
        {},
        el('th', { scope: 'col' }, head),
        ...columns.map(({ label }) => el('th', { scope: 'col', class: 'number' }, label)),
        last && el('th', { scope: 'col' }, last.label),
      ),
    ),
    el(
      'tbody',
      {},
      ...shown.map((i) =>
        el(
          'tr',
          {},
          el('th', { scope: 'row' }, names[i] ?? ''),
          ...columns.map((column) => cell(column, i)),
          last && el('td', {}, last.words(i)),
        ),
      ),
    ),
  )
  const name = `${title}, as a table`
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': name }, table)
}

/** A button that shows and hides a table, which is made when it is shown. */
export function tableButton(box: HTMLElement, fill: () => void): HTMLButtonElement {
  const toggle = (): void => {
    box.hidden = !box.hidden
    button.setAttribute('aria-expanded', String(!box.hidden))
    if (!box.hidden) fill()
  }
  const button: HTMLButtonElement = el(
    'button',
    { type: 'button', class: 'quiet as-table', 'aria-expanded': 'false', onclick: toggle },
    'Table',
  )
  return button
}
