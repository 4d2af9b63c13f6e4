/** The message of `shelf notify test`. */
import { randomUUID } from 'node:crypto'
import { groupOf, type Message } from '../notify/message.ts'

const NAME = 'Test of shelf notify'

/** @param open 1, or 0 to resolve what the first one opened where a channel resolves */
export function testMessage(target: string, open: 0 | 1): Message {
  const nowMs = Date.now()
  const until = new Date(nowMs - (nowMs % 60_000)).toISOString()
  const since = new Date(Date.parse(until) - 60_000).toISOString()
  const severity = 'info'
  return {
    key: `msg_${randomUUID()}`,
    group: groupOf({ target, name: NAME, severity }),
    ...{ target, name: NAME, severity, open },
    at: new Date(nowMs).toISOString(),
    items: [
      {
        ...{ event: 'test', at: until, rule: 'test', ruleVersion: 0, name: NAME, severity },
        ...{ app: 'test', process: null, metric: 'p95', source: null, playbook: null },
        ...{ operator: '>=', threshold: 1000, value: 1234, count: 100, completeness: 1 },
        ...{ state: 'firing', previous: 'ok', window: { since, until } },
        ...{ incident: null, startedAt: null },
      },
    ],
  }
}
