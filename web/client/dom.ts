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
  element.append(
    ...children.filter((child) => child !== null && child !== undefined && child !== false),
  )
  return element
}

export const byId = (id: string): HTMLElement | null => document.getElementById(id)

const probe = el('span', { hidden: true })
let scheme = ''
const known = new Map<string, string>()

/** A colour of the style sheet, `p50`, as it is now: light or dark. */
export function colour(name: string): string {
  const root = document.documentElement
  const now = `${root.dataset.theme}${matchMedia('(prefers-color-scheme: dark)').matches}`
  if (now !== scheme) known.clear()
  scheme = now
  const before = known.get(name)
  if (before !== undefined) return before
  // A property holds both: a canvas wants the one that counts.
  if (!probe.isConnected) document.body.append(probe)
  probe.style.color = `var(--${name})`
  const found = getComputedStyle(probe).color
  known.set(name, found)
  return found
}
