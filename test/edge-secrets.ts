/** What must not get into the log, and drain messages that have it wherever a line has room. */
import { message } from './edge.ts'

/** What a line may hold of a person, or of an app's secrets, by what is searched for. */
export const SECRETS: Record<string, string> = {
  'ada.lovelace@example.com': 'lovelace',
  'ada7@3com.example': 'ada7',
  '203.0.113.77': '203.0.113.77',
  '2001:db8::8a2e:370:7334': '8a2e:370',
  sk_live_4eC39HqLyjWDarjtT1zdp7dc: '4eC39HqLyjWD',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.dBjftJeZ4CVP': 'eyJhbGci',
  'user-900000417': '900000417',
  '8601b555-6a83-4c12-8269-97c8e32cdb22': '97c8e32cdb22',
  '/pay?token=tok_4242&ip=1': 'tok_4242',
  'postgres://ada:hush-hush@db.example.com:5432/d1': 'hush-hush',
}

const dyno = (text: string, process = 'web.1'): string => message(text, { process })
const output = (text: string, process = 'web.1'): string => message(text, { app: 'app', process })
const api = (text: string): string => output(text, 'api')

const FIGURES = 'dyno=web.1 connect=1ms service=18ms status=200 bytes=13'

/** Where a line has room for anything. */
const PLACES: ((secret: string) => string)[] = [
  // The router's.
  (secret) =>
    message(`at=info path="/${secret} ${secret}" host=${secret} fwd="${secret}" ${FIGURES}`),
  (secret) => message(`at=info path=/${secret} request_id=${secret} fwd=${secret} ${FIGURES}`),
  (secret) => message(`at=info ${FIGURES} path="${secret}" ${secret}`),
  (secret) => message(`at=error code=H12 desc="${secret}" cause="${secret}" ${FIGURES}`),
  (secret) => message(`${secret} at=info agent="${secret}" ${FIGURES}`),
  // Of dynos.
  (secret) => dyno('Cycling', `web.${secret}`),
  (secret) => dyno('sample#load_avg_1m=1', secret),
  (secret) => dyno(`source=${secret} dyno=${secret} sample#load_avg_1m=1`),
  (secret) => dyno(`sample#${secret}=1 sample#of.${secret}=1 sample#a=${secret} sample#b=1`),
  (secret) => dyno(`Starting process with command \`bin/run --token ${secret}\``),
  (secret) => dyno(`State changed from ${secret} to crashed`),
  (secret) => dyno(`Error R14 (${secret})`),
  (secret) => dyno(`Process exited with status 1 ${secret}`),
  (secret) => dyno(`Process running mem=5M(${secret})`),
  (secret) => dyno(secret),
  // Of the API.
  (secret) => api(`Deploy 059375fe by user ${secret}`),
  (secret) => api(`Deploy ${secret} by user ${secret}`),
  (secret) => api(`Release v4 created by ${secret}`),
  (secret) => api(`Release ${secret} created by user ${secret}`),
  (secret) => api(`Scaled to web@2:Standard-1X by user ${secret} and ${secret}`),
  (secret) => api(`Scaled to web@2:${secret}@1 ${secret} by user ${secret}`),
  (secret) => api(`Set DATABASE_URL=${secret}, MODE=a ${secret} b config vars by user ${secret}`),
  (secret) => api(`Config add MODE => ${secret} by ${secret}`),
  (secret) => api(`Attach LOGDNA (@ref:${secret})`),
  (secret) => api(`@ref:redis-flat-1 completed provisioning, setting ${secret}. by user ${secret}`),
  (secret) => api(`${secret} by user ${secret}`),
  (secret) => message(`Deploy 059375fe by ${secret}`, { process: 'api' }),
  // Of add-ons.
  (secret) => output('sample#a=1', `heroku-${secret}`),
  (secret) => output(`source=${secret} addon=${secret} sample#a=1`, 'heroku-redis'),
  (secret) => output(`source=A addon=b sample#${secret}=1 sample#c=${secret}`, 'heroku-postgres'),
  // Of the app itself.
  (secret) => output(secret),
  (secret) =>
    output(`source=${secret} measure#${secret}=4ms count#x-${secret} measure#a=1 ${secret}`),
  (secret) => output(`measure.${secret}=1`),
  (secret) => output('count#a', `web.${secret}`),
  (secret) => output('count#a', secret),
  // Of Logplex, and of nobody.
  (secret) => dyno(`Error L10: drain '${secret}' dropped 5 messages since ${secret}`, 'logplex'),
  (secret) => message(secret, { app: secret, process: secret }),
  (secret) => secret,
]

/** Each secret in each place. */
export function plantedLines(): string[] {
  return Object.keys(SECRETS).flatMap((secret) => PLACES.map((place) => place(secret)))
}

/** Which of the secrets are in the text. */
export function leaksIn(text: string): string[] {
  const lower = text.toLowerCase()
  return Object.values(SECRETS).filter((part) => lower.includes(part.toLowerCase()))
}
