/** Where the edge puts records: one interface, one file a Kafka REST dialect. */

export interface SinkRecord {
  /** Decides the partition: the app. */
  key: string
  value: Uint8Array<ArrayBuffer>
}

/** `ok`: durable. `retry`: not known to be, another try may go better. `reject`: too large, none will. */
export type Outcome = 'ok' | 'retry' | 'reject'

export interface Sink {
  /** One outcome a record, in their order, after `budgetMs` at the latest. Never throws. */
  produce(topic: string, records: readonly SinkRecord[], budgetMs: number): Promise<Outcome[]>
}
