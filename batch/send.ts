/** `shelf send FILE`: log text as drain requests, as Logplex would make them. */
import { batches, type Delivery, deliver } from './deliver.ts'
import { runningDrainUrl } from './drains.ts'
import { minutesToNow, newestMs, readLogText, shiftMessage } from './log-text.ts'
import { type Program, say, UsageError } from './program.ts'

/** The input is held in memory whole: to know its newest line, and to send it in order. */
const INPUT_BYTES_MAX = 1_073_741_824

export const send: Program = {
  usage: 'send FILE|-',
  summary: 'Sends log text to a drain, in requests as Logplex makes them.',
  details: `
FILE holds lines as \`heroku logs\` prints them, or drain bodies ready made.

  shelf send app.log --shift-to-now
  heroku logs -n 1500 -a my-app | shelf send -

The same lines sent again are the same frames: they are counted once.`,
  options: {
    drain: { type: 'string', value: 'URL', help: "the drain (default: the stack's, for app demo)" },
    'shift-to-now': {
      type: 'boolean',
      help: 'move all lines by whole minutes: the newest into the last full minute',
    },
    shift: { type: 'string', value: 'MINUTES', help: 'move all lines by so many minutes' },
    rate: {
      type: 'string',
      value: 'N',
      help: 'lines a second (default: as fast as they are taken)',
    },
    'dry-run': { type: 'boolean', help: 'read and count, send nothing' },
  },
  positionals: [1, 1],
  async run({ text, flags, positionals }, signal) {
    const [path = ''] = positionals
    const rate = wholeNumber('rate', text.rate, 1)
    const input = readLogText(await readInput(path))
    if (input.unreadable > 0) {
      say(`send: ${input.unreadable} lines are no log lines, and are left out`)
    }
    if (input.messages.length === 0) throw new Error(`${path} holds no log lines`)
    const minutes = shiftOf(flags['shift-to-now'] === true, text.shift, newestMs(input.messages))
    const messages = input.messages.map((message) => shiftMessage(message, minutes))
    const moved = minutes === 0 ? '' : `, moved by ${minutes} minutes (again: --shift ${minutes})`
    if (flags['dry-run']) {
      const requests = [...batches(messages)].length
      say(`would send ${messages.length} lines in ${requests} requests${moved}`)
      return
    }
    const drainUrl = text.drain ?? (await runningDrainUrl(process.env))
    const delivery = await deliver(drainUrl, messages, signal, {
      ...(rate === undefined ? {} : { rate }),
      ...(process.stderr.isTTY ? { onProgress: progressBar(messages.length) } : {}),
    })
    say(`sent ${delivery.messages} lines in ${delivery.requests} requests${moved}`)
    if (delivery.dropped > 0) {
      throw new Error(
        `${delivery.dropped} lines were dropped: the drain did not take them in 3 tries`,
      )
    }
    if (signal.aborted) throw new Error('interrupted before all was sent')
  },
}

async function readInput(path: string): Promise<Uint8Array> {
  if (path === '-') return await Bun.stdin.bytes()
  const file = Bun.file(path)
  if (!(await file.exists())) throw new UsageError(`there is no file ${path}`)
  if (file.size > INPUT_BYTES_MAX) throw new UsageError(`${path} is larger than 1 GiB: split it`)
  return await file.bytes()
}

function wholeNumber(name: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (Number.isInteger(value) && value >= least) return value
  throw new UsageError(`--${name} takes a whole number, not ${text}`)
}

function shiftOf(toNow: boolean, shift: string | undefined, newest: number | undefined): number {
  const minutes = wholeNumber('shift', shift, Number.MIN_SAFE_INTEGER)
  if (minutes !== undefined && toNow) throw new UsageError('--shift or --shift-to-now, not both')
  if (minutes !== undefined) return minutes
  return toNow && newest !== undefined ? minutesToNow(newest, Date.now()) : 0
}

/** `[#####     ] 5000/11865 lines`, over itself. */
function progressBar(total: number): (delivery: Delivery) => void {
  const width = 30
  return ({ messages }) => {
    const filled = Math.round((messages / total) * width)
    const bar = '#'.repeat(filled).padEnd(width)
    process.stderr.write(`\r[${bar}] ${messages}/${total} lines${messages === total ? '\n' : ''}`)
  }
}
