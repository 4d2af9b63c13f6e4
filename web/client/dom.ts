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

const colours = new Map<string, string>()

/** A colour of the style sheet, `p50`, as it is now: light or dark. */
export function colour(name: string): string {
  if (colours.size === 0) readColours()
  return colours.get(name) ?? ''
}

/** Another scheme was chosen. */
export function forgetColours(): void {
  colours.clear()
}

/**
 * All at once: to look at one, the browser has to work out the styles of all elements. A property
 * holds both schemes' colours; an element has the one that counts.
 */
function readColours(): void {
  // An extension may have added one of its own, which nobody else may read.
  const ours = [...document.styleSheets].filter(({ href }) => href?.startsWith(location.origin))
  const names = ours
    .flatMap(({ cssRules }) => [...cssRules])
    .flatMap((rule) =>
      rule instanceof CSSStyleRule && rule.selectorText === ':root' ? [...rule.style] : [],
    )
    .filter((name) => name.startsWith('--'))
  const probes = names.map((name) => {
    const probe = el('span')
    probe.style.color = `var(${name})`
    return probe
  })
  const box = el('div', { hidden: true }, ...probes)
  document.body.append(box)
  for (const [i, probe] of probes.entries()) {
    colours.set(names[i]?.slice(2) ?? '', getComputedStyle(probe).color)
  }
  box.remove()
}
