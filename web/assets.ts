/** Scripts and styles: few files, named after what is in them, so that they are kept for ever. */
import { Hono } from 'hono'
import type { Env } from './context.ts'

/** A file as it was built. Packed forms are of the same bytes; without them the runtime packs. */
export interface Asset {
  /** `main.js`, as pages name it. */
  name: string
  /** `main-3f9a2c.js`, as browsers do. */
  file: string
  type: string
  body: string
  gzip?: Uint8Array<ArrayBuffer>
  brotli?: Uint8Array<ArrayBuffer>
}

export interface Assets {
  url(name: string): string
  routes: Hono<Env>
}

const FOR_EVER = 'public, max-age=31536000, immutable'

/** @throws Error where a page names a file that was not built */
export function openAssets(assets: readonly Asset[]): Assets {
  const byName = new Map(assets.map((asset) => [asset.name, asset]))
  const byFile = new Map(assets.map((asset) => [asset.file, asset]))
  const routes = new Hono<Env>()
  routes.get('/assets/:file', (c) => {
    const asset = byFile.get(c.req.param('file'))
    if (asset === undefined) return c.notFound()
    const accepted = c.req.header('accept-encoding') ?? ''
    const headers = {
      'content-type': asset.type,
      'cache-control': FOR_EVER,
      vary: 'accept-encoding',
    }
    if (asset.brotli && /\bbr\b/.test(accepted)) {
      return c.body(asset.brotli, 200, { ...headers, 'content-encoding': 'br' })
    }
    if (asset.gzip && /\bgzip\b/.test(accepted)) {
      return c.body(asset.gzip, 200, { ...headers, 'content-encoding': 'gzip' })
    }
    return c.body(asset.body, 200, headers)
  })
  return {
    url(name) {
      const asset = byName.get(name)
      if (asset === undefined) throw new Error(`${name} was not built`)
      return `/assets/${asset.file}`
    },
    routes,
  }
}
