/**
 * Who uses the lifelike app, and what it prints about them: all of it personal, and made up. None of
 * it may ever be found in the raw topic or in the database.
 */
import { type DemoLine, outputLine, stampOf } from './demo-line.ts'
import type { Random } from './demo-random.ts'

/** Enough that no line stands out, few enough that each is seen within the hour. */
const VISITORS = 40

export interface Visitor {
  email: string
  ip: string
  /** As it stands in a path. */
  id: string
  token: string
  /** As it stands behind a path: `email=mara%40example.com&token=…`. */
  query: string
}

export interface People {
  visitors: readonly [Visitor, ...Visitor[]]
  /** E-mails of those who work on it. */
  developers: { deploys: string; configures: string; scales: string }
  /** The platform's own, when it scales by itself. Which address that is, is not documented. */
  autoscaler: string
  /** Stands in the command line of a process. */
  commandSecret: string
}

export function makePeople(random: Random): People {
  const first = makeVisitor(random, 0)
  const rest = Array.from({ length: VISITORS - 1 }, (_, i) => makeVisitor(random, i + 1))
  return {
    visitors: [first, ...rest],
    developers: {
      deploys: makeEmail(random),
      configures: makeEmail(random),
      scales: makeEmail(random),
    },
    autoscaler: `autoscaling.${random.hex(6)}@example.com`,
    commandSecret: `sk_live_${random.word(24)}`,
  }
}

const NAMES = [
  'mara',
  'jon',
  'ines',
  'tove',
  'ravi',
  'lena',
  'omar',
  'yuki',
  'nils',
  'zoe',
] as const

const makeEmail = (random: Random): string =>
  `${random.pick(NAMES)}.${random.word(6)}@example.${random.pick(['com', 'net', 'org'])}`

/** Addresses for documentation only, RFC 5737. */
function makeVisitor(random: Random, index: number): Visitor {
  const email = makeEmail(random)
  const token = `tok_${random.word(24)}`
  const network = index % 2 === 0 ? '203.0.113' : '198.51.100'
  return {
    email,
    ip: `${network}.${10 + index}`,
    id: `usr_${random.word(12)}`,
    token,
    query: `email=${encodeURIComponent(email)}&token=${token}`,
  }
}

/** All of it, for a search. */
export function personalData(people: People): string[] {
  const ofVisitors = people.visitors.flatMap(({ email, ip, id, token, query }) => [
    email,
    ip,
    id,
    token,
    query,
  ])
  return [
    ...ofVisitors,
    ...Object.values(people.developers),
    people.autoscaler,
    people.commandSecret,
  ]
}

const OUTPUT: readonly [OutputText, ...OutputText[]] = [
  ({ id, query, ip }, random, timeMs) =>
    `[${random.uuid()}] Started GET "/u/${id}/orders?${query}" for ${ip} at ${stampOf(timeMs)}`,
  (_, random) => `Completed 200 OK in ${random.whole(90)}ms (Views: 3.2ms | SQL: 163.92µs)`,
  ({ email }, random) => `Sent receipt to ${email} (${random.whole(400)}ms)`,
  ({ email, ip, token }) =>
    `{"level":"info","msg":"login","user":"${email}","ip":"${ip}","authorization":"Bearer ${token}"}`,
  ({ email }) =>
    `NoMethodError (undefined method 'total' for nil, user ${email}):\n  app/models/cart.rb:42\n  app/cart.rb:7`,
]

type OutputText = (visitor: Visitor, random: Random, timeMs: number) => string

/** A line that an app prints for people who look for faults. */
export function personalLine(
  dyno: string,
  visitor: Visitor,
  random: Random,
  timeMs: number,
): DemoLine {
  return outputLine(dyno, random.pick(OUTPUT)(visitor, random, timeMs))
}

/** A line of the database's server about a slow query. */
export function slowQueryLine(visitor: Visitor, random: Random): DemoLine {
  const ms = 2000 + random.whole(3000)
  const statement = `select * from users where email = '${visitor.email}'`
  return outputLine(
    'postgres.21458',
    `[GREEN] [${random.whole(90)}-1] LOG: duration: ${ms} ms statement: ${statement}`,
  )
}
