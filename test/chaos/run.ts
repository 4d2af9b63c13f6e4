/** `npm run chaos -- [--seconds N] [--log kafka|embedded] [--scenario strikes|outage] [--seed N] [--json FILE]` */
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { chaos } from './chaos.ts'

const optionsSchema = z.object({
  seconds: z.coerce.number().int().min(1).max(86_400),
  log: z.enum(['kafka', 'embedded']),
  scenario: z.enum(['strikes', 'outage']),
  seed: z.coerce.number().int(),
  json: z.string().optional(),
})

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    log: { type: 'string', default: 'embedded' },
    scenario: { type: 'string', default: 'strikes' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    json: { type: 'string' },
  },
})
const parsed = optionsSchema.safeParse(values)
if (!parsed.success) {
  console.error(`chaos: ${z.prettifyError(parsed.error)}`)
  process.exit(2)
}
const { json, ...options } = parsed.data
const startMs = Date.now()
const say = (line: string): void => {
  console.error(`${((Date.now() - startMs) / 1000).toFixed(1).padStart(6)} s  ${line}`)
}
say(`${options.scenario} for ${options.seconds} s on the log ${options.log}, seed ${options.seed}`)
const { report, refusals, ledger } = await chaos({ ...options, say })
const text = JSON.stringify(report)
console.log(text)
if (json !== undefined) await Bun.write(json, `${text}\n`)
// An edge that was killed gives no answer; while only the log is gone, it must take everything.
const refused = options.scenario === 'outage' && refusals.size > 0
const exact = report.lost === 0 && report.double === 0 && report.requests > 0
process.exit(exact && !refused && ledger.length === 0 ? 0 : 1)
