/** Workers in workerd, to be measured. */
import { Miniflare } from 'miniflare'
import { childrenOf } from './process.ts'

export interface BenchWorker {
  url: string
  /** Of its workerd. */
  pid: number
  stop(): Promise<void>
}

/** Bundles the Worker in the file `entry` and serves it, in a workerd of its own. */
export async function startWorker(
  entry: string,
  bindings: Record<string, string> = {},
): Promise<BenchWorker> {
  const { outputs } = await Bun.build({ entrypoints: [entry], target: 'browser', format: 'esm' })
  const contents = (await outputs[0]?.text()) ?? ''
  const pidOf = workerdPids()
  const miniflare = new Miniflare({
    modules: [{ type: 'ESModule', path: 'worker.js', contents }],
    compatibilityDate: '2026-07-01',
    host: '127.0.0.1',
    port: 0,
    bindings,
  })
  const { origin } = await miniflare.ready
  return { url: origin, pid: pidOf(), stop: () => miniflare.dispose() }
}

/** Returns what tells the pid of the workerd that was started since. */
export function workerdPids(): () => number {
  const before = new Set(childrenOf(process.pid, 'workerd'))
  return () => {
    const pid = childrenOf(process.pid, 'workerd').find((child) => !before.has(child))
    if (pid === undefined) throw new Error('no workerd was started')
    return pid
  }
}
