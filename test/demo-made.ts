/** A generated day for tests, and its lines as anybody reads them who has nothing else. */
import { type DemoOptions, demoDay } from '../batch/demo-day.ts'
import type { DemoMessage } from '../batch/demo-line.ts'
import { addMessage, emptyTruth, type Truth } from '../batch/demo-truth.ts'

export const OPTIONS: DemoOptions = {
  seed: 20261122,
  startMs: Date.parse('2026-11-22T08:00:00Z'),
  dayMs: 90 * 60_000,
  rate: 3,
}

export interface Made {
  messages: DemoMessage[]
  /** All of it, one behind the other. */
  text: string
  truth: Truth
  markers: ReturnType<typeof demoDay>['markers']
  personalData: readonly string[]
}

export function make(options: DemoOptions): Made {
  const day = demoDay(options)
  const messages = [...day.messages]
  const truth = emptyTruth()
  for (const message of messages) addMessage(truth, message)
  const text = messages.map((message) => message.text).join('')
  return { messages, text, truth, markers: day.markers, personalData: day.personalData }
}

export const made = make(OPTIONS)

/** Reads the lines as anybody would who has only them: `[whole, time, app, process, text]`. */
const MESSAGE = /^<\d+>1 (\S+) host (\S+) (\S+) - ([\s\S]*?)\n?$/

export interface Read {
  timeMs: number
  app: string
  process: string
  text: string
}

export const read = made.messages.map(({ text }): Read => {
  const [, stamp = '', app = '', process = '', rest = ''] = MESSAGE.exec(text) ?? []
  return { timeMs: Date.parse(stamp), app, process, text: rest }
})

/** The lines of a source and of the processes that match. */
export const linesOf = (app: string, process: RegExp): Read[] =>
  read.filter((line) => line.app === app && process.test(line.process))
