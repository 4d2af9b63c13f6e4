/** What is to happen when, in the lifelike app: a queue of tasks by their time. */

interface Task {
  timeMs: number
  /** Tasks of one time run in the order in which they were added. */
  order: number
  run: () => void
}

const isBefore = (a: Task, b: Task): boolean =>
  a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.order < b.order)

/** A binary heap: the children of `i` are at `2i + 1` and `2i + 2`, and never before it. */
export class Schedule {
  private readonly heap: Task[] = []
  private added = 0

  add(timeMs: number, run: () => void): void {
    const task = { timeMs, order: this.added++, run }
    let at = this.heap.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = this.heap[parent]
      if (above === undefined || isBefore(above, task)) break
      this.heap[at] = above
      at = parent
    }
    this.heap[at] = task
  }

  /** Takes the first task out, if it comes before `endMs`. */
  takeBefore(endMs: number): Task | undefined {
    const first = this.heap[0]
    if (first === undefined || first.timeMs >= endMs) return undefined
    const last = this.heap.pop()
    if (last !== undefined && last !== first) this.sink(last)
    return first
  }

  /** Puts `task` in the place of the first, and lets it sink to where it belongs. */
  private sink(task: Task): void {
    let at = 0
    for (;;) {
      const [left, right] = [this.heap[2 * at + 1], this.heap[2 * at + 2]]
      const isRight = left !== undefined && right !== undefined && isBefore(right, left)
      const child = isRight ? right : left
      if (child === undefined || isBefore(task, child)) break
      this.heap[at] = child
      at = 2 * at + (isRight ? 2 : 1)
    }
    this.heap[at] = task
  }
}
