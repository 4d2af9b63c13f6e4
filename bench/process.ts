/** What processes took, from Linux's /proc. */
import { readdirSync, readFileSync } from 'node:fs'

/** CPU time of a process, all its threads that live, ms. */
export function cpuMsOf(pid: number): number {
  let ns = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
  }
  return ns / 1e6
}

/** The most memory that a process held at a time (VmHWM), MB. */
export function peakMBOf(pid: number): number {
  const [, kB] = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Math.round(Number(kB) / 1024)
}

/** The processes below `pid` whose command holds `words`. */
export function childrenOf(pid: number, words: string): number[] {
  const table = Bun.spawnSync(['ps', '--ppid', String(pid), '-o', 'pid=,args=']).stdout.toString()
  const rows = table.split('\n').filter((line) => line.includes(words))
  return rows.map((row) => Number.parseInt(row, 10))
}

/** Between two looks at a process that may end any time. */
const LOOK_MS = 20

/** Waits for a program to end. Its memory has to be looked at while it runs. */
export async function ended(
  child: Bun.Subprocess,
): Promise<{ cpuSeconds: number; peakMB: number }> {
  let peakMB = 0
  const look = setInterval(() => {
    try {
      peakMB = Math.max(peakMB, peakMBOf(child.pid) || 0)
    } catch {
      // It is gone.
    }
  }, LOOK_MS)
  const code = await child.exited
  clearInterval(look)
  if (code !== 0) throw new Error(`a program ended with ${code}`)
  return { cpuSeconds: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6, peakMB }
}
