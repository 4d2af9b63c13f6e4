/** Contrast of the dashboard's colours, as WCAG 2.2 measures it, light and dark. */
import { expect, test } from 'bun:test'
import { join } from 'node:path'

const css = await Bun.file(join(import.meta.dir, '../web/style.css')).text()

/** `--name: light-dark(#…, #…)` */
const colours = new Map(
  Array.from(
    css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g),
    ([, name = '', light = '', dark = '']) => [name, [light, dark] as const],
  ),
)

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (light + 0.05) / (dark + 0.05)
}

const hex = (name: string, mode: 0 | 1): string => {
  const pair = colours.get(name)
  if (pair === undefined) throw new Error(`no colour ${name}`)
  return pair[mode]
}

const TEXT = ['ink', 'muted', 'link', 'bad', 'warn', 'good']
const MARKS = [
  ...[
    'p50',
    'p95',
    'p99',
    'max',
    's1',
    's2',
    's3',
    's4',
    's5',
    's0',
    'critical',
    'warning',
    'info',
  ],
  ...['m-max', 'm-mean', 'm-rss', 'm-swap', 'm-quota', 'k-deploy', 'k-config', 'k-scale'],
  ...['before', 'after', 'heat', 'heat-line', 'focus', 'accent'],
]

for (const [mode, name] of ['light', 'dark'].entries()) {
  const at = mode === 0 ? 0 : 1
  test(`text has a contrast of 4.5:1 at least on page and card, ${name}`, () => {
    for (const text of TEXT) {
      for (const ground of ['card', 'page', 'soft']) {
        expect(
          contrast(hex(text, at), hex(ground, at)),
          `${text} on ${ground}`,
        ).toBeGreaterThanOrEqual(4.5)
      }
    }
    expect(contrast(hex('on-accent', at), hex('accent', at))).toBeGreaterThanOrEqual(4.5)
    expect(contrast(hex('ink', at), hex('banner', at))).toBeGreaterThanOrEqual(4.5)
  })

  test(`lines, bars and marks have a contrast of 3:1 at least on the card, ${name}`, () => {
    for (const mark of MARKS) {
      expect(contrast(hex(mark, at), hex('card', at)), mark).toBeGreaterThanOrEqual(3)
    }
  })
}
