/** Cost by unit against size, both in logarithms, as SVG. */

export interface Series {
  name: string
  unit: string
  /** One for each size. */
  costs: number[]
}

const WIDTH = 760
const HEIGHT = 420
const LEFT = 60
const RIGHT = 520
const TOP = 30
const BOTTOM = 380
const COLOURS = ['#4e79a7', '#f28e2b', '#e15759', '#76b7b2', '#59a14f', '#b07aa1', '#9c755f']

/** Of each series its cost relative to that of the first size, so that all fit one axis. */
const RELATIVE = [0.1, 0.2, 0.5, 1, 2, 5, 10]

export function plotGrowth(series: readonly Series[], times: readonly number[]): string {
  const x = (index: number): number => LEFT + (index * (RIGHT - LEFT)) / (times.length - 1)
  const y = (relative: number): number => {
    const part = (Math.log10(Math.min(Math.max(relative, 0.1), 10)) + 1) / 2
    return BOTTOM - part * (BOTTOM - TOP)
  }
  const rows = RELATIVE.map(
    (relative) =>
      `<path d="M${LEFT} ${y(relative)}H${RIGHT}" stroke="#ddd"/>` +
      `<text x="${LEFT - 8}" y="${y(relative) + 4}" text-anchor="end">${relative}</text>`,
  )
  const columns = times.map(
    (size, i) => `<text x="${x(i)}" y="${BOTTOM + 22}" text-anchor="middle">${size}×</text>`,
  )
  const lines = series.map(({ name, unit, costs }, i) => {
    const [first = 1] = costs
    const colour = COLOURS[i % COLOURS.length]
    const points = costs.map((cost, k) => `${x(k)},${y(cost / first).toFixed(1)}`).join(' ')
    const words = costs.map((cost) => cost.toPrecision(3)).join(' → ')
    const at = TOP + 14 + i * 44
    return (
      `<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="2"/>` +
      `<text x="${RIGHT + 16}" y="${at}" fill="${colour}">${name}</text>` +
      `<text x="${RIGHT + 16}" y="${at + 16}">${words} ${unit}</text>`
    )
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<title>How the cost of a unit grows with size</title>
<rect width="100%" height="100%" fill="white"/>
<text x="${LEFT}" y="18">cost of a unit, relative to that at 1×</text>
${[...rows, ...columns, ...lines].join('\n')}
</svg>
`
}
