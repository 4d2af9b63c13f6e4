/** Router lines for the tests of core/: what of them is read. */
import { RouterLines } from '../core/router-line.ts'
import { bytesOf } from './frames.ts'

/** What a line says; what it does not say is not there. */
export interface RouterRequest {
  service?: number
  connect?: number
  status?: number
  bytes?: number
  process?: string
  code?: string
}

export function read(text: string): RouterRequest | false {
  const before = `at=error code=H99 ${FIGURES} protocol=https`
  const body = bytesOf(`${before} status=999 ${text} status=999`)
  const lines = new RouterLines(body)
  // As in a body: nothing of a line may be left for the next.
  if (!lines.read(0, before.length)) throw new Error('no line before')
  const start = before.length + ' status=999 '.length
  if (!lines.read(start, start + text.length)) return false
  const { line } = lines
  const process = body.subarray(line.processStart, line.processEnd)
  const code = body.subarray(line.codeStart, line.codeEnd)
  const numbers = {
    service: line.serviceMs,
    connect: line.connectMs,
    status: line.status,
    bytes: line.bytes,
  }
  return {
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== -1)),
    ...(process.length > 0 && { process: Buffer.from(process).toString() }),
    ...(code.length > 0 && { code: Buffer.from(code).toString() }),
  }
}

export const FIGURES = 'dyno=web.1 connect=1ms service=18ms status=200 bytes=13'
export const READ: RouterRequest = {
  process: 'web',
  connect: 1,
  service: 18,
  status: 200,
  bytes: 13,
}
