/** Messages that could not be delivered, as dead letters. */
import type { Log } from '../broker/log.ts'
import type { Message } from '../notify/message.ts'
import { DELIVERIES, DELIVERIES_PARTITION } from './notify-record.ts'
import { DEAD_LETTER } from './topics.ts'

/** Who dies between this and the word of it writes it again: the key tells. */
export async function buryMessage(log: Log, message: Message, error: string): Promise<void> {
  const { key } = message
  const value = JSON.stringify({
    ...{ topic: DELIVERIES, partition: DELIVERIES_PARTITION, key, code: 'undelivered' },
    message: error,
    value: JSON.stringify(message),
  })
  await log.append(DEAD_LETTER, [{ key: message.group, value }])
}
