import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { metricNames, readExposition } from './exposition.ts'
import { Life } from './life.ts'
import { World } from './world.ts'

const file = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

let life: Life
let names: ReadonlySet<string>
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 500_000)
  life = new Life(world)
  await life.step({ tag: 'pay', from: 'alice', to: 'bob', amountMsat: 1_000_000, kind: 'invoice' })
  await world.settle()
  names = metricNames(readExposition(await world.of('alice').api.metrics({ eventSubscribers: 0 })))
})
afterAll(() => life.world.close())

/** The metrics that an expression of PromQL asks for. */
const metricsIn = (expr: string): string[] =>
  [...expr.matchAll(/\b(?:fulmen|process|nodejs)_\w+/g)].map(([name]) => name)

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly datasource?: { uid: string }
  readonly gridPos: { x: number; y: number; w: number; h: number }
  readonly fieldConfig?: { defaults: { thresholds?: object; color?: object } }
  readonly targets?: { refId: string; datasource: { uid: string }; expr: string; instant?: boolean }[]
}

describe('the Grafana dashboard', () => {
  const dashboard = JSON.parse(file('docker/grafana/dashboards/fulmen.json'))
  const panels = (dashboard.panels as Panel[]).filter((p) => p.type !== 'row')

  it('asks only for metrics that a node has', () => {
    expect(panels.length).toBeGreaterThan(15)
    for (const { targets = [] } of panels) {
      expect(targets.length).toBeGreaterThan(0)
      for (const { expr } of targets) {
        const asked = metricsIn(expr)
        expect(asked.length, expr).toBeGreaterThan(0)
        for (const name of asked) expect(names, expr).toContain(name)
      }
    }
  })

  it('shows everything that a node tells of itself, but for what the page shows anyway', () => {
    const asked = new Set(panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => metricsIn(expr))))
    const unasked = [...names]
      .filter((n) => n.startsWith('fulmen_'))
      .map((n) => n.replace(/_(bucket|sum|count)$/, ''))
      .filter((n) => ![...asked].some((a) => a.startsWith(n)))
    const elsewhere = ['up', 'synced', 'uptime_seconds', 'event_last_id', 'chain_reorgs_total', 'htlcs_in_flight_msat']
    expect([...new Set(unasked)].sort()).toEqual(elsewhere.map((n) => `fulmen_${n}`).sort())
  })

  it('and docs/monitoring.md names each of them', () => {
    const docs = file('docs/monitoring.md').replace(/`…(\w+)`/g, '$1')
    for (const name of names) {
      if (!name.startsWith('fulmen_')) continue
      const plain = name.replace(/_(bucket|sum|count)$/, '')
      const known = docs.includes(plain) || docs.includes(plain.replace(/^fulmen_(channel|onchain)/, ''))
      expect(known, name).toBe(true)
    }
  })

  it('asks the Prometheus that is chosen at its top, so that it can be imported where that has another name', () => {
    const [source, ...others] = dashboard.templating.list
    expect([source.name, source.type, source.query]).toEqual(['datasource', 'datasource', 'prometheus'])
    for (const { datasource } of [...others, ...panels]) expect(datasource.uid).toMatch(/^\$\{datasource\}$/)
    for (const { targets = [] } of panels) {
      for (const { datasource } of targets) expect(datasource.uid).toMatch(/^\$\{datasource\}$/)
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length)
    }
  })

  it('shows how a node stands now, not its last words, in colours that mean something', () => {
    const stats = panels.filter((p) => p.type === 'stat')
    expect(stats.length).toBeGreaterThan(4)
    for (const { title, targets = [], fieldConfig } of stats) {
      for (const { instant } of targets) expect(instant, title).toBe(true)
      // Where a panel says nothing, Grafana shows whatever is 80 or more in red, and the rest in green.
      const { thresholds, color } = fieldConfig!.defaults
      expect(thresholds ?? color, title).toBeDefined()
    }
  })

  it('has each panel in a place of its own', () => {
    const all = dashboard.panels as Panel[]
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
    const cells = all.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    for (const { gridPos } of all) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
  })
})

describe('the alert rules', () => {
  it('ask only for metrics that a node has', () => {
    const rules = [...file('docker/prometheus/alerts.yml').matchAll(/expr: (.+)/g)].map(([, expr]) => expr!)
    expect(rules.length).toBeGreaterThan(4)
    for (const expr of rules) for (const name of metricsIn(expr)) expect(names, expr).toContain(name)
  })
})

describe('the compose file', () => {
  const compose = file('docker-compose.yml')
  const prometheus = file('docker/prometheus/prometheus.yml')

  it('has Prometheus look at every node, each with the key that the set-up step keeps for it', () => {
    const nodes = [...compose.matchAll(/--node=(\w+)=http:\/\/(\S+?)=/g)].map(([, name, at]) => [name, at])
    expect(nodes).toHaveLength(3)
    expect(compose).toContain('--scrape-keys=/scrape')
    const jobs = [...prometheus.matchAll(/credentials_file: \/scrape\/(\w+)\.key[\s\S]*?targets: \["([^"]+)"\]/g)]
    expect(jobs.map(([, name, at]) => [name, at])).toEqual(nodes)
  })

  it('gives a node minutes to begin to answer: an older database with a long history needs them', () => {
    expect(compose.match(/start_period: (\d+)m$/m)?.[1]).toBe('10')
  })

  it('publishes ports on loopback alone', () => {
    const ports = [...compose.matchAll(/ports: \["([^"]+)"\]/g)].map(([, port]) => port!)
    expect(ports.length).toBe(5)
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/)
  })
})
