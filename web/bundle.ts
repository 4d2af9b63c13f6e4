/** Builds what browsers load. With Bun, when a server starts or a Worker is deployed. */

import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Asset } from './assets.ts'

/** Of the name of a file: enough that two versions never share one. */
const HASH_CHARACTERS = 12

const FOLDER = import.meta.dir

/** @throws Error where the scripts can't be bundled */
export async function buildAssets(): Promise<Asset[]> {
  const build = await Bun.build({
    entrypoints: [join(FOLDER, 'client/main.ts')],
    target: 'browser',
    format: 'esm',
    minify: true,
  })
  const script = await build.outputs[0]?.text()
  if (script === undefined) throw new Error('the scripts of the dashboard could not be bundled')
  const uplot = await Bun.file(Bun.resolveSync('uplot/dist/uPlot.min.css', FOLDER)).text()
  const own = await Bun.file(join(FOLDER, 'style.css')).text()
  const icon = await Bun.file(join(FOLDER, 'icon.svg')).text()
  return [
    asset('main.js', 'text/javascript; charset=utf-8', script),
    asset('style.css', 'text/css; charset=utf-8', uplot + squeezed(own)),
    asset('icon.svg', 'image/svg+xml', icon),
  ]
}

function asset(name: string, type: string, body: string): Asset {
  const hash = new Bun.CryptoHasher('sha256').update(body).digest('hex').slice(0, HASH_CHARACTERS)
  const bytes = Buffer.from(body)
  const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY }
  return {
    name,
    file: name.replace('.', `-${hash}.`),
    type,
    body,
    gzip: Uint8Array.from(gzipSync(bytes, { level: 9 })),
    brotli: Uint8Array.from(brotliCompressSync(bytes, { params: quality })),
  }
}

/** Without comments and the blanks of its lines. */
const squeezed = (css: string): string =>
  css.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\s*\n\s*/g, '\n')
