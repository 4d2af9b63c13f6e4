/** The log that a URL names. */
import { restLog } from '../broker/client.ts'
import type { Log } from '../broker/log.ts'

/** `http(s)://user:password@host`: the broker or the gateway, over their REST dialect. */
export function openLog(url: string): Log {
  return restLog({ url })
}
