import type { LogLevels, LogLine, LogQuery, SetLogLevels } from '../../api/operatorSchemas.ts'
import { lostLines } from '../../client/logs.ts'
import { announce } from '../announce.ts'
import type { App } from '../app.ts'
import { actionForm, field, openDialog, select } from '../dialog.ts'
import { type Child, h, keyedList, put } from '../dom.ts'
import { wordsOf } from '../format.ts'
import { button, chip, denied, empty, problemBox, section, settle, timeOf, waiting } from '../parts.ts'
import { lookEvery, Resource } from '../resource.ts'

const LOOK_MS = 2_000
const LINES_KEPT = 500

type Level = LogLine['level']
type Part = LogLine['part']

const LEVELS = {
  fatal: ['Fatal', 'bad'],
  error: ['Error', 'bad'],
  warn: ['Warning', 'warn'],
  info: ['Info', 'plain'],
  debug: ['Debug', 'plain'],
  trace: ['Trace', 'plain'],
} as const satisfies Readonly<Record<Level, readonly [string, 'bad' | 'warn' | 'plain']>>

const PARTS: Readonly<Record<Part, string>> = {
  node: 'Node',
  peer: 'Peers',
  channel: 'Channels',
  payment: 'Payments',
  chain: 'Chain',
  wallet: 'Wallet',
  gossip: 'Gossip',
  store: 'Disk',
  api: 'API',
}
const PART_NAMES = Object.keys(PARTS) as Part[]

/** What a part may be set to log; `silent` is nothing. */
const SETTINGS = [
  ...(['error', 'warn', 'info', 'debug', 'trace'] as const).map((level) => [level, LEVELS[level][0]] as const),
  ['silent', 'Nothing'],
] as const

/**
 * The last lines that pass a filter, newest first: after the first time only those that are new are asked for, and where the node
 * kept some of these no more, a line says so.
 */
class Tail extends Resource<readonly LogLine[]> {
  constructor({ live: { client } }: App, filter: Pick<LogQuery, 'level' | 'part'>) {
    let since: number | undefined
    super(async (before = []) => {
      const page = await client.logs({ ...filter, limit: LINES_KEPT, ...(since !== undefined && { since }) })
      since = Math.max(since ?? 0, page.newestId)
      const gap = page.lostTo === null ? [] : [lostLines(page.lostTo)]
      return [...page.items, ...gap, ...before].slice(0, LINES_KEPT)
    })
  }
}

function row({ at, level, part, message, fields }: LogLine): HTMLLIElement {
  const [words, tone] = LEVELS[level]
  return h('li', { class: 'row entry' }, [
    chip(words, tone),
    h('div', { class: 'main' }, [
      h('p', {}, h('strong', {}, message)),
      h('p', { class: 'detail' }, [PARTS[part], wordsOf(fields)].filter(Boolean).join(' · ')),
    ]),
    h('div', { class: 'side' }, timeOf(at)),
  ])
}

/** The log as the node writes it, where the key of this session may see it. */
export function logLines(app: App, signal: AbortSignal): HTMLElement {
  const { live } = app
  if (!live.can('logs:read')) return section('Lines of the log', {}, denied('logs:read'))
  const level = select(
    (['error', 'warn', 'info', 'debug', 'trace'] as const).map((name) => [name, LEVELS[name][0]] as const),
    'info',
  )
  const part = select([['', 'All parts'], ...PART_NAMES.map((name) => [name, PARTS[name]] as const)])
  const list = h('ul', { class: 'rows' })
  const below = waiting()
  const show = keyedList<LogLine>(list, { key: ({ id }) => String(id), render: row })
  let ending = new AbortController()
  let isPaused = false
  const open = (): void => {
    ending.abort()
    ending = new AbortController()
    const until = AbortSignal.any([signal, ending.signal])
    const tail = new Tail(app, { level: level.value as Level, ...(part.value !== '' && { part: part.value as Part }) })
    tail.watch(until, () => {
      settle(below)
      const { value = [], error } = tail
      show(value)
      const none = 'Nothing of this kind since the node was started.'
      put(below, error !== undefined ? problemBox(error) : value.length === 0 && empty(none))
    })
    if (!isPaused) lookEvery(tail, LOOK_MS, until)
  }
  const pause = button('Pause', () => {
    isPaused = !isPaused
    put(pause, h('span', {}, isPaused ? 'Go on' : 'Pause'))
    open()
  })
  for (const control of [level, part]) control.addEventListener('change', open)
  open()
  const actions = h('div', { class: 'filter' }, [
    field('At least', level),
    field('Of', part),
    pause,
    live.can('*') && button('Levels…', () => void openLevels(app)),
  ])
  return section('Lines of the log', { actions }, list, below)
}

/** What each part logs, changed until the node stops. */
async function openLevels({ live }: App): Promise<void> {
  const dialog = openDialog()
  const form = (levels: LogLevels): Child => {
    const choices = PART_NAMES.map((name) => ({ name, control: select(SETTINGS, levels.parts[name]) }))
    const run = async (): Promise<void> => {
      const parts = Object.fromEntries(choices.map(({ name, control }) => [name, control.value]))
      await live.client.setLogLevels({ default: levels.default, parts } as SetLogLevels)
      announce('The log has new levels', { toast: true, tone: 'good' })
      dialog.close()
    }
    return actionForm({ act: 'Set levels', run, cancel: dialog.close }, [
      h('p', { class: 'hint' }, 'In force until the node stops. Debug and trace tell of each payment and peer.'),
      h(
        'div',
        { class: 'checks' },
        choices.map(({ name, control }) => field(PARTS[name], control)),
      ),
    ])
  }
  await live.client.logLevels().then(
    (levels) => dialog.show('What is logged', form(levels)),
    (error: unknown) => dialog.show('What is logged', problemBox(error)),
  )
}
