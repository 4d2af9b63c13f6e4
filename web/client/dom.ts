/** Elements, made in one line each. */
type Child = Node | string | null | undefined | false

/** Attributes by name; functions are listeners: `{ class: 'x', onclick: () => … }`. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, unknown> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      element.addEventListener(name.slice(2), (event) => value(event))
    } else if (value !== undefined && value !== null && value !== false) {
      element.setAttribute(name, value === true ? '' : String(value))
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false))
  return element
}

export const byId = (id: string): HTMLElement | null => document.getElementById(id)

/** A colour of the style sheet, as it is now: light or dark. */
export const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
