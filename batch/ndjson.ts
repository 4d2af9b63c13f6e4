/** Lines of JSON in and out of a program: its pipes. */
import { fstatSync, writeSync } from 'node:fs'
import type { z } from 'zod'

/** A line of standard input that is not what the program reads. */
export class LineError extends Error {
  override name = 'LineError'
}

/** Longest line: an aggregates record has at most 1 MB, a burst of 1 MiB prints as several. */
const LINE_BYTES_MAX = 64 * 1_048_576

/** Lines as they come, in the batches in which they come: none is held back for the next. */
export async function* lineBatches(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<string[]> {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  const stop = (): void => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', stop)
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > LINE_BYTES_MAX) throw new LineError('a line is too long')
      if (lines.length > 0) yield lines
    }
    // A last line that is cut short came from a writer that died: it is not JSON, and says so.
    if (rest !== '' && !signal.aborted) yield [rest]
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** @throws LineError that names the line by its number */
export function parseLine<S extends z.ZodType>(
  schema: S,
  line: string,
  number: number,
): z.output<S> {
  let json: unknown
  try {
    json = JSON.parse(line)
  } catch {
    throw new LineError(`line ${number} is not JSON`)
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new LineError(`line ${number}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`)
}

/** Whether standard input is a pipe or a file: then a program is a filter. */
export function inputIsPiped(): boolean {
  // The supervisor's pipe carries nothing: it only tells of the supervisor's end.
  if (process.env.SHELF_EXIT_WITH_PARENT === '1') return false
  try {
    const stat = fstatSync(0)
    return stat.isFIFO() || stat.isFile() || stat.isSocket()
  } catch {
    return false
  }
}

/**
 * Writes to standard output, all of it before it resolves: a program that ends next loses nothing,
 * and lines of several partitions never mix. Waits for a slow reader; quiet when the reader left.
 */
export async function writeOut(text: string): Promise<void> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'EPIPE') process.exit(0)
      // A pipe that does not block is full.
      if (code !== 'EAGAIN') throw error
      Bun.sleepSync(1)
    }
  }
}
