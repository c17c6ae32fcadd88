import type { GraphChannel, GraphNode } from '../../api/schemas.ts'
import type { App, Render } from '../app.ts'
import { type Child, h, put } from '../dom.ts'
import { grouped, satText, uriOf } from '../format.ts'
import { amountOfSat, button, denied, empty, facts, idOf, problemBox, section, table } from '../parts.ts'
import { openOpen } from './channelDialogs.ts'
import { aliasOf, type Graph, loadGraph, MAX_CHANNELS } from './graph.ts'
import { NetworkMap } from './networkMap.ts'

const LISTED = 200

function nodeFacts(app: App, graph: Graph, node: GraphNode): Child {
  const own = graph.channels.filter(({ nodeId1, nodeId2 }) => nodeId1 === node.nodeId || nodeId2 === node.nodeId)
  const capacity = own.reduce((sum, { capacitySat }) => sum + (capacitySat ?? 0), 0)
  const self = app.live.of.node.value?.nodeId === node.nodeId
  const uri = uriOf(node.nodeId, node.addresses[0])
  return [
    h('h3', {}, aliasOf(node), self && ' (this node)'),
    facts(
      ['Node id', idOf(node.nodeId, 'Node id')],
      ['Channels', grouped(own.length)],
      ['Capacity', amountOfSat(capacity)],
      node.addresses.length > 0 && ['Addresses', node.addresses.join(', ')],
    ),
    !self &&
      app.live.can('channels:write') &&
      h(
        'div',
        { class: 'actions' },
        button('Open channel', () => openOpen(app, uri), { icon: 'plus' }),
      ),
  ]
}

function channelTable(graph: Graph): Child {
  const names = new Map(graph.nodes.map((node) => [node.nodeId, aliasOf(node)]))
  const fee = (policy: GraphChannel['policies'][number] | undefined): string =>
    policy
      ? `${satText(policy.feeBaseMsat)} + ${grouped(policy.feeProportionalMillionths)} ppm${policy.enabled ? '' : ', off'}`
      : 'not known'
  const rows = graph.channels
    .slice(0, LISTED)
    .map((c) => [
      h('code', {}, c.shortChannelId),
      `${names.get(c.nodeId1)} – ${names.get(c.nodeId2)}`,
      c.capacitySat === null ? 'not known' : amountOfSat(c.capacitySat),
      fee(c.policies[0]),
      fee(c.policies[1]),
    ])
  const more = graph.channels.length - LISTED
  return [
    table('Channels of the network', ['Channel', 'Between', 'Capacity', 'Fee →', 'Fee ←'], rows),
    more > 0 && h('p', { class: 'detail' }, `and ${grouped(more)} more`),
  ]
}

export const render: Render = (app, signal) => {
  if (!app.live.can('node:read')) return h('section', { class: 'card', 'aria-label': 'Network' }, denied('node:read'))
  const chosen = h(
    'div',
    { class: 'chosen', role: 'status' },
    h('p', { class: 'detail' }, 'Choose a node to see what it is.'),
  )
  const summary = h('p', { class: 'detail' })
  const place = h('div', { class: 'map loading', 'aria-busy': 'true' })
  const list = h('div', {})
  let current: AbortController | undefined
  const load = async (): Promise<void> => {
    current?.abort()
    current = new AbortController()
    const until = AbortSignal.any([signal, current.signal])
    try {
      const graph = await loadGraph(app.live.client, until)
      place.className = 'map'
      place.removeAttribute('aria-busy')
      const isCut = graph.isCut ? `, the first ${grouped(MAX_CHANNELS)} channels` : ''
      put(summary, `${grouped(graph.nodes.length)} nodes, ${grouped(graph.channels.length)} channels${isCut}`)
      if (graph.nodes.length === 0) return put(place, empty('This node has not heard of others yet.'))
      const map = new NetworkMap(graph, app.live.of.node.value?.nodeId ?? '', until)
      map.onchoose = (node) => put(chosen, nodeFacts(app, graph, node))
      put(place, map.element)
      put(list, channelTable(graph))
      map.start()
    } catch (error) {
      if (!until.aborted) put(place, problemBox(error))
    }
  }
  app.live.of.node.watch(signal, () => {})
  // Gossip has no events of its own; what our channels do changes the graph that we know.
  app.live.hear(signal, ({ type }) => {
    if (type === 'channel.ready' || type === 'channel.closed') void load()
  })
  void load()
  const refresh = button('', () => void load(), { icon: 'refresh', kind: 'quiet', label: 'Load the network again' })
  return [
    h(
      'section',
      { class: 'card', 'aria-label': 'Map of the network' },
      h('header', {}, summary, refresh),
      place,
      chosen,
    ),
    section('Channels of the network', {}, list),
  ]
}
