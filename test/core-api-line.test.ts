import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseApiLine } from '../core/api-line.ts'
import { isLoggable } from '../core/text.ts'
import { sharedData, testOn } from './data.ts'

const exampleRows = sharedData('logplex-examples.jsonl')

/** `kind process text` of each marker. */
const markersOf = (text: string): string[] | undefined =>
  parseApiLine(text)?.markers.map((marker) =>
    [marker.kind, marker.process, marker.text].filter((word) => word !== '').join(' '),
  )

/** Without who did it. */
const WORDINGS: [string, string[]][] = [
  ['Build started', ['build started']],
  ['Build succeeded', ['build succeeded']],
  ['Build failed', ['build failed']],
  [
    'Build failed -- check your build output: https://dashboard.heroku.com/apps/3fd68bdc-5605',
    ['build failed'],
  ],
  ['Deploy 059375fe', ['deploy 059375fe']],
  ['Deploy 059375FE', ['deploy 059375FE']],
  ['Deploy 0123456789abcdef0123456789abcdef01234567', ['deploy 0123456789ab']],
  ['Deploy', ['deploy']],
  ['Deploy of something', ['deploy']],
  ['Deployed web (eacd9b960537)', ['deploy eacd9b960537']],
  ['Deployed web (eacd9b960537), worker (85aa64b988cf)', ['deploy']],
  ['Release v16', ['release v16']],
  ['Initial release', ['release v1']],
  ['Running release v3 commands', []],
  ['Release v3 command failed', []],
  ['Rollback to v11', ['rollback v11']],
  ['Scaled to web@4:Standard-1X', ['scale web 4:Standard-1X']],
  [
    'Scaled to web@3:Performance-L mailer@1:Standard-2X',
    ['scale web 3:Performance-L', 'scale mailer 1:Standard-2X'],
  ],
  [
    'Scaled to console@0:Basic rake@0:Basic web@1:Basic',
    ['scale console 0:Basic', 'scale rake 0:Basic', 'scale web 1:Basic'],
  ],
  ['Scaled to web@0:Free', ['scale web 0:Free']],
  ['Scale to mailer=1, web=3', ['scale mailer 1', 'scale web 3']],
  ['Scale to web=1', ['scale web 1']],
  ['Set CRON_ENABLED config vars', ['config set CRON_ENABLED']],
  ['Set LANG, RACK_ENV config vars', ['config set LANG, RACK_ENV']],
  ['Remove SENDGRID_PASSWORD config vars', ['config removed SENDGRID_PASSWORD']],
  ['Unset A and B config vars', ['config removed A, B']],
  [
    'Add FACEBOOK_SECRET_KEY, FACEBOOK_APP_ID config',
    ['config set FACEBOOK_SECRET_KEY, FACEBOOK_APP_ID'],
  ],
  ['Update FOO config var', ['config set FOO']],
  ['Config add EXAMPLE', ['config set EXAMPLE']],
  ['Config remove PYTHONPATH, PATH', ['config removed PYTHONPATH, PATH']],
  [
    '@ref:postgresql-defined-96677 completed provisioning, setting DATABASE_URL.',
    ['addon provisioned postgresql-defined-96677'],
  ],
  [
    '@ref:searchbox-tapered-14398 completed provisioning',
    ['addon provisioned searchbox-tapered-14398'],
  ],
  ['Attach LOGDNA (@ref:logdna-deep-31633)', ['addon attach LOGDNA']],
  ['Detach LOGDNA (@ref:logdna-deep-31633)', ['addon detach LOGDNA']],
  ['Update DATABASE', ['addon update DATABASE']],
  ['Add mongohq:sandbox add-on', ['addon add mongohq']],
  ['Remove newrelic add-on', ['addon remove newrelic']],
  ['Enable Logplex', []],
]

describe('a line of the API', () => {
  test.each(WORDINGS)('%p is read, whoever did it, in old wordings and new', (text, markers) => {
    const user = 'jane.doe+heroku@example.com'
    expect(markersOf(text)).toEqual(markers)
    for (const line of [
      `${text} by user ${user}`,
      `${text} by ${user}`,
      `${text} created by ${user}`,
    ]) {
      expect(markersOf(line)).toEqual(markers)
      expect(parseApiLine(line)?.user).toBe(user)
    }
    expect(parseApiLine(text)?.user).toBe('')
  })

  test.each([
    '',
    'by user jane@example.com',
    'Release sixteen created by jane@example.com',
    'Maintenance',
    'Starting process with command `npm start` by user jane@example.com',
    'deploy 059375fe by user jane@example.com',
    'Hello Deploy 059375fe',
    'Scaled',
  ])('%p is none that is known', (text) => {
    expect(parseApiLine(text)).toBeUndefined()
  })

  testOn([exampleRows], 'is known in all real captures', () => {
    const rows = exampleRows.text.trimEnd().split('\n')
    const lines = rows.map((row) => JSON.parse(row)).filter(({ procid }) => procid === 'api')
    expect(lines.map(({ msg }) => markersOf(msg))).toEqual([
      ['build started'],
      ['build succeeded'],
      ['release v4'],
      ['deploy 059375fe'],
      ['rollback v11'],
      ['scale web 4:Standard-1X'],
      ['scale web 3:Performance-L', 'scale mailer 1:Standard-2X'],
      ['config set CRON_ENABLED'],
      ['config removed SENDGRID_PASSWORD'],
      ['addon provisioned postgresql-defined-96677'],
      ['addon attach LOGDNA'],
      ['release v1822'],
    ])
    const users = new Set(lines.map(({ msg }) => parseApiLine(msg)?.user))
    expect([...users].toSorted()).toEqual(['', 'foo@example.com', 'user@example.com'])
  })

  test.each([
    ['by mistake by user jane@example.com', 'jane@example.com'],
    ['by user Heroku Scheduler', 'Heroku Scheduler'],
    ['by user  jane@example.com ', 'jane@example.com'],
    ['by user heroku-redis@addons.heroku.com', 'heroku-redis@addons.heroku.com'],
    [`by ${'j'.repeat(1000)}`, 'j'.repeat(254)],
  ])('ending %p names who did it', (words, user) => {
    expect(parseApiLine(`Build failed ${words}`)).toEqual({
      markers: [{ kind: 'build', process: '', text: 'failed' }],
      user,
    })
  })

  test('of many config vars is a marker that the log holds, cut behind a name', () => {
    const names = Array.from({ length: 500 }, (_, i) => `VARIABLE_${i}`)
    const [marker] = parseApiLine(`Set ${names.join(', ')} config vars`)?.markers ?? []
    expect(marker?.text).toMatch(/^set VARIABLE_0, .*, VARIABLE_\d{2}, …$/)
    expect(isLoggable(marker?.text ?? '\0')).toBe(true)
    const some = names.slice(0, 70).join(', ')
    expect(markersOf(`Set ${some} config vars`)).toEqual([`config set ${some}`])
  })

  test('that scales very many process types gives the first hundred', () => {
    const list = Array.from({ length: 300 }, (_, i) => `w${i}@1:Basic`)
    expect(parseApiLine(`Scaled to ${list.join(' ')}`)?.markers).toHaveLength(100)
  })
})

describe('what a line of the API keeps to itself', () => {
  test.each([
    ['Set FOO=planted config vars', ['config set']],
    ['Set FOO=a, planted config vars', ['config set']],
    ['Set FOO to planted config vars', ['config set']],
    ['Set FOO: a, planted config vars', ['config set']],
    ['Config add FOO => planted', ['config set']],
    ['Add FOO=planted config', ['config set']],
    ['Scaled to planted@365.example', []],
    ['Scaled to web@2:Basic planted@365.example', ['scale web 2:Basic']],
    ['Attach planted@365.example', undefined],
    ['Deploy planted@365.example', ['deploy']],
  ])('%p gives no value and no e-mail', (text, markers) => {
    expect(markersOf(text)).toEqual(markers)
  })

  test('no e-mail and no value comes out, wherever it stands', () => {
    const planted = fc.constantFrom(
      'planted@365.example',
      '<planted@365.example>',
      'FOO=planted',
      'FOO="planted',
      'planted"',
      '=planted',
      'postgres://planted:planted@planted.example/db?planted',
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...WORDINGS),
        fc.array(fc.tuple(planted, fc.nat(20)), { minLength: 1, maxLength: 3 }),
        fc.constantFrom('', ' by user planted@example.com', ' by planted planted@example.com'),
        ([text], secrets, by) => {
          const words = text.split(' ')
          for (const [secret, at] of secrets) words.splice(at % (words.length + 1), 0, secret)
          const line = parseApiLine(words.join(' ') + by)
          expect(JSON.stringify(line?.markers) ?? '').not.toContain('planted')
          if (by !== '') expect(line?.user ?? by).toEndWith('planted@example.com')
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('whatever a line is, its markers are such as the log holds', () => {
    fc.assert(
      fc.property(fc.constantFrom(...WORDINGS), fc.string({ maxLength: 40 }), ([text], more) => {
        for (const some of [`${text}${more}`, `${text} ${more}`, more]) {
          for (const marker of parseApiLine(some)?.markers ?? []) {
            expect(isLoggable(marker.text)).toBe(true)
            expect(marker.process).toMatch(/^([A-Za-z][\w-]{0,63})?$/)
          }
        }
      }),
      { numRuns: 1000 },
    )
  })
})
