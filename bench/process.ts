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
