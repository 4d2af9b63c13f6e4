/** The lines of a chart by name, with the numbers of a step; a button each that shows or hides it. */
import { colour, el } from './dom.ts'
import type { PanelSpec } from './panels.ts'

export class Legend {
  readonly root = el('ul', { class: 'legend' })
  private readonly places = new Map<string, { value: HTMLElement; note: HTMLElement }>()

  /** @param onToggle after a line was shown or hidden */
  constructor(
    private readonly hidden: Set<string>,
    private readonly onToggle: (key: string) => void,
  ) {}

  fill({ lines, kind }: PanelSpec): void {
    this.places.clear()
    this.root.replaceChildren(
      ...lines.map(({ key, label, colour: name, isDashed }) => {
        const value = el('span', { class: 'value', 'data-line': key })
        const note = el('span', { class: 'note' })
        this.places.set(key, { value, note })
        const dashed = isDashed === true ? ' dashed' : ''
        const swatch = el('span', { class: `swatch${dashed}`, 'aria-hidden': 'true' })
        swatch.style.background = colour(name)
        const words = el('span', { class: 'name' }, label)
        if (kind === 'strip') return el('li', {}, swatch, words, value, note)
        return el('li', {}, this.button(key, swatch, words), value, note)
      }),
    )
  }

  private button(key: string, swatch: HTMLElement, words: HTMLElement): HTMLElement {
    const toggle = (): void => {
      if (!this.hidden.delete(key)) this.hidden.add(key)
      button.setAttribute('aria-pressed', String(!this.hidden.has(key)))
      this.onToggle(key)
    }
    const isShown = String(!this.hidden.has(key))
    const button: HTMLButtonElement = el(
      'button',
      { type: 'button', 'aria-pressed': isShown, onclick: toggle },
      swatch,
      words,
    )
    return button
  }

  /** The numbers of a step; -1: there is none. */
  show({ lines, format }: PanelSpec, i: number): void {
    for (const { key, values, note } of lines) {
      const place = this.places.get(key)
      if (place === undefined) continue
      const value = values[i] ?? null
      place.value.textContent = value === null ? '–' : format(value)
      place.note.textContent = value === null ? '' : (note?.(i) ?? '')
    }
  }
}
