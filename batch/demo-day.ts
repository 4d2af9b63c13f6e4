/**
 * A generated day in the life of an app: the messages that its drain would carry, and with each what
 * it says. The same seed makes the same day. No I/O, no clock of its own.
 */
import { DemoApp, type DemoMarker } from './demo-app.ts'
import { placeDynos, planDay } from './demo-events.ts'
import { type Habits, startHabits } from './demo-habits.ts'
import type { DemoMessage } from './demo-line.ts'
import { personalData } from './demo-people.ts'

/** All that happens in a day happens in `dayMs`: 24 hours, or less. */
export interface DemoOptions extends Habits {
  seed: number
  /** When the first day begins, Unix ms. */
  startMs: number
  /** Sends what is lost all the same, to compare with. */
  lossless?: boolean
}

export interface DemoDay {
  /** In the order of their times. */
  messages: Generator<DemoMessage>
  /** What was done until the last message taken. */
  markers: readonly DemoMarker[]
  /** E-mails, addresses, tokens and query strings that stand in the messages. */
  personalData: readonly string[]
}

/** One day. */
export function demoDay(options: DemoOptions): DemoDay {
  return dayOf(newApp(options), options.startMs + options.dayMs)
}

/** Day after day, without an end. */
export function demoDays(options: DemoOptions): DemoDay {
  const app = newApp(options)
  const planNext = (): void => {
    app.after(options.dayMs, () => {
      planDay(app, options.dayMs)
      planNext()
    })
  }
  planNext()
  return dayOf(app, Number.POSITIVE_INFINITY)
}

function newApp(options: DemoOptions): DemoApp {
  const app = new DemoApp(options.seed, options.startMs, options.lossless)
  startHabits(app, options)
  placeDynos(app)
  planDay(app, options.dayMs)
  return app
}

function dayOf(app: DemoApp, endMs: number): DemoDay {
  const { markers, people } = app
  return { messages: app.messages(endMs), markers, personalData: personalData(people) }
}
