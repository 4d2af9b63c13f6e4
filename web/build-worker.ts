/** Writes the entry of the dashboard's Worker into dist/web: wrangler runs it before it deploys. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { buildAssets } from './bundle.ts'

/** Writes entry.ts and the assets it brings along. @returns the path of the entry */
export async function writeWorkerEntry(folder: string): Promise<string> {
  const assets = await buildAssets()
  const plain = assets.map(({ name, file, type, body }) => ({ name, file, type, body }))
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'assets.json'), JSON.stringify(plain))
  const worker = relative(folder, join(import.meta.dir, 'worker.ts'))
  const entry = join(folder, 'entry.ts')
  writeFileSync(
    entry,
    `import { worker } from '${worker}'\nimport assets from './assets.json'\nexport default worker(assets)\n`,
  )
  return entry
}

if (import.meta.main) await writeWorkerEntry(join(import.meta.dir, '../dist/web'))
