import { EMPTY } from '../base/bytes.ts'
import type { NodeId } from '../base/ids.ts'
import { channelOf } from '../channel/describe.ts'
import { getHtlc } from '../channel/htlcTable.ts'
import { noiseKey } from '../noise/handshake.ts'
import type { NextHop, OutgoingChannel } from '../payment/types.ts'
import { warningOf } from '../peer/session.ts'
import { keys } from '../store/schema.ts'
import { backupKey } from '../wallet/keys.ts'
import { walletBalance } from '../wallet/status.ts'
import { networkAddress } from '../wire/address.ts'
import { ourInitFeatures, ourNodeFeatures } from '../wire/features.ts'
import { doubtAll } from './adopt.ts'
import { apart } from './apart.ts'
import type { ChainShellOptions } from './chain.ts'
import { ClaimRoom } from './claimRoom.ts'
import { Dispatch } from './dispatch.ts'
import { DEFAULT_PACE as GOSSIP_PACE, GossipShell, REGTEST_PACE } from './gossip.ts'
import {
  holdingsOf,
  isBack,
  isInChain,
  keepsDeadlines,
  lateForward,
  namesOf,
  outgoingChannel,
  undecidedIncoming,
  wantsPreimage,
} from './holdings.ts'
import type { Node } from './node.ts'
import { announceAll } from './ownAnnouncements.ts'
import { Payments } from './payments.ts'
import { DEFAULT_PACE, PeerStorage } from './peerStorage.ts'
import { Peers } from './peers.ts'
import { rebroadcastAfterBlock, rebroadcastAll, rebroadcastWallet } from './rebroadcast.ts'
import { mayBeUnread, mayTake, needsNoPreimage, standingOf, standingsOf, stillStands } from './standings.ts'
import { closeFinder } from './unseenCloses.ts'

/** The connections, and what their messages lead to. */
export function createPeers(node: Node): Peers {
  const { driver, reactor } = node
  const dispatch = new Dispatch({
    parts: () => node,
    channels: node.channels,
    log: node.logs.of('peer'),
    newMeta: (peer) => node.numbers.take(peer),
    signer: (meta) => node.signerFor(meta),
  })
  return new Peers({
    driver,
    reactor,
    ...(node.resources.connections && { connections: node.resources.connections }),
    key: noiseKey(node.own.nodeSecret),
    features: ourInitFeatures(),
    chainHash: node.own.chainHash,
    isWelcome: (peer) => node.channels.ofPeer(peer).some(({ state }) => state.tag !== 'closed'),
    isChosen: (peer) => isChosen(node, peer),
    onConnected: (link, session, scope) => dispatch.connected(link, session, scope),
    onMessage: (link, message, scope) => dispatch.message(link, message, scope),
    onDisconnected: (link, reason, scope) => dispatch.disconnected(link, reason, scope),
    onDrained: (link) => dispatch.drained(link),
  })
}

/** A peer that the operator connected to, or has an open channel with: strangers can be as many as they like, and may have had one. */
export function isChosen({ channels, peers }: Pick<Node, 'channels' | 'peers'>, peer: NodeId): boolean {
  if (peers.address(peer) !== undefined) return true
  const open = channels.ofPeer(peer).filter(({ state }) => state.tag !== 'closed')
  return open.some(({ state }) => (channelOf(state)?.funding.confirmed ?? null) !== null)
}

/** The copies of backups that peers keep of us, and we of them. */
export function createStorage(node: Node): PeerStorage {
  const { master, keepBackup, storagePace = DEFAULT_PACE } = node.resources
  return new PeerStorage({
    node,
    key: backupKey(master),
    pace: storagePace,
    now: () => performance.now(),
    onNewer: (backup) => {
      const notKept = (err: unknown): null => {
        node.log.error({ err }, 'a newer backup cannot be kept')
        return null
      }
      const onError = (err: unknown): void => node.log.error({ err }, 'the channels cannot be put in doubt')
      void keepBackup(backup)
        .catch(notKept)
        .then((kept) => doubtAll(node, backup, kept))
        .catch(onError)
    },
  })
}

/** What is known of the network, heard and told. */
export function createGossip(node: Node): GossipShell {
  const { own, graph, source, driver, reactor } = node
  const { config, gossipPace = config.network === 'regtest' ? REGTEST_PACE : GOSSIP_PACE } = node.resources
  return new GossipShell({
    own,
    graph,
    source,
    driver,
    reactor,
    push: (link, message) => node.outbox.push(link, message),
    send: (link, messages) => node.peers.sendEncoded(link, messages),
    queuedBytes: (link) => node.peers.queuedBytes(link),
    links: () => node.peers.links(),
    isOurs: (peer, scid) => node.channels.ofPeer(peer).some(({ state }) => namesOf(state).includes(scid)),
    isChosen: (peer) => isChosen(node, peer),
    synced: () => node.chain.isSynced,
    renewOwn: (scope) => announceAll(node, scope),
    pace: gossipPace,
    blame: (link, reason) => {
      node.logs.of('gossip').debug({ peer: link.nodeId, reason }, 'bad gossip')
      node.peers.send(link, [warningOf(reason)])
      node.peers.disconnect(link, reason)
    },
    now: () => node.now(),
    blockHeight: () => node.chain.height,
    alias: config.alias,
    features: ourNodeFeatures(),
    addresses: config.announce.map(({ host, port }) => networkAddress(host, port)),
  })
}

/** What the node may take at a time, so that its wallet can claim it. */
export function createClaimRoom(node: Node): ClaimRoom {
  return new ClaimRoom({
    stateOf: (channelId) => node.channels.byChannelId(channelId)?.state,
    feerates: () => node.feerates(),
    coinsSat: () => walletBalance(node.wallet.state).spendableSat,
    exposureMsat: node.policy.maxDustExposureMsat,
    onShort: () => {
      const code = 'NO_COINS_FOR_CLAIMS'
      const message =
        'payments are given back, since the wallet could not claim so many of them on chain: send some coins to it'
      node.reactor.post((scope) => node.events.emit(scope, 'node.alert', { code, message, byPeer: false }))
    },
  })
}

/** Invoices, payments and forwards, joined to the channels that carry them. */
export function createPayments(node: Node): Payments {
  const { driver, changes, events, graph, own } = node
  return new Payments({
    driver,
    changes,
    events,
    graph,
    nodeId: own.nodeId,
    nodeSecret: own.nodeSecret,
    margins: node.margins,
    hidesPayee: node.resources.config.network !== 'regtest', // nobody watches there
    newId: () => node.newId(),
    now: () => node.now(),
    blockHeight: () => node.chain.height,
    claims: node.claims,
    localChannels: () => node.localChannels(),
    isSound: (channelId) => node.chain.isCurrent && isInChain(node, channelId),
    stillStands: (htlc) => stillStands(node, htlc),
    channelsTo: (next) => channelsTo(node, next),
    publicUpdate: (next) => (next.tag === 'channel' ? node.gossip.publicUpdate(next.shortChannelId) : EMPTY),
    standingOf: (channelId) => {
      const entry = node.channels.byChannelId(channelId)
      return entry ? standingOf(entry, null) : null
    },
    hasGap: node.resources.doubt !== null,
    offered: () => holdingsOf(node.channels.all()).outgoing,
    post: (task) => node.reactor.post((scope) => apart(node, 'payments', scope, () => task(scope))),
    command: (channelId, command) => {
      const entry = node.channels.byChannelId(channelId)
      if (entry) node.channels.command(entry, command)
      return entry !== undefined
    },
    incomingHtlc: (channelId, id) => {
      const entry = node.channels.byChannelId(channelId)
      return entry ? undecidedIncoming(entry.state, channelId, id) : null
    },
    wantsPreimage: (channelId, id) => {
      const state = node.channels.byChannelId(channelId)?.state
      return state === undefined ? 'never' : wantsPreimage(state, id)
    },
    isBack: (channelId, id) => {
      const state = node.channels.byChannelId(channelId)?.state
      return state === undefined || isBack(state, id)
    },
    lateForward: (origin) => lateForward(node, origin),
    hasLost: (channelId, id) => {
      const state = node.channels.byChannelId(channelId)?.state
      // One that cannot be read may be brought back by a backup.
      if (state === undefined) return true
      const commitments = channelOf(state)?.commitments
      if (!commitments) return false
      return id >= commitments.nextIncomingId || getHtlc(commitments.incoming, id)?.stage === 'presumed'
    },
    tryPreimage: (channelId, preimage) => {
      const entry = node.channels.byChannelId(channelId)
      if (entry === undefined) return false
      const isDone = needsNoPreimage(entry.state, preimage)
      if (!isDone && mayTake(entry.state)) node.channels.command(entry, { tag: 'presumeReceived', shown: [preimage] })
      return isDone
    },
    standings: (origin, next) => {
      const { channelId } = origin
      const entry = node.channels.byChannelId(channelId)
      return {
        isSound: node.chain.isCurrent && isInChain(node, channelId),
        incoming: entry ? standingOf(entry, null) : 'over',
        outgoing: standingsOf(node, next, origin),
        isUnread: mayBeUnread(node, next),
      }
    },
    staysOpen: (channelId) => {
      const state = node.channels.byChannelId(channelId)?.state
      return state !== undefined && keepsDeadlines(state)
    },
  })
}

/** What each block and reorganisation does to the parts, in this order. */
export function chainOptions(node: Node): ChainShellOptions {
  const { driver, reactor, source } = node
  const lookForCloses = closeFinder(node)
  return {
    source,
    driver,
    reactor,
    onEvents: (owner, events, scope) => {
      const entry = node.channels.get(owner)
      if (!entry) return
      for (const event of events) node.channels.deliver(entry, { tag: 'chain', event })
      node.channels.drain(scope)
    },
    onSearched: (owner, fromHeight, scope) => {
      const entry = node.channels.get(owner)
      if (entry) node.channels.deliver(entry, { tag: 'searched', fromHeight })
      node.channels.drain(scope)
      if (node.lookingBack.delete(owner) && node.lookingBack.size === 0) scope.write({ key: keys.lookBack })
    },
    onBlock: (block, scope) => {
      node.wallet.applyBlock(block)
      apart(node, 'gossip', scope, () => node.gossip.onBlock(block, scope))
      apart(node, 'peer storage', scope, () => node.storage.onBlock(block.height, scope))
      apart(node, 'payments', scope, () => node.payments.review(scope))
      node.channels.drain(scope)
      rebroadcastAfterBlock(node, scope)
      node.channels.drain(scope)
      node.events.emit(scope, 'chain.block', { height: block.height, hash: block.hash })
      node.events.sumUp(scope)
      scope.after(() => node.mempoolWatch.tick(true))
    },
    onReorg: (height, scope) => {
      node.wallet.rollback(height, node.chain.tip.hash)
      node.gossip.onReorg(height, scope)
      node.events.emit(scope, 'chain.reorg', { height })
      rebroadcastWallet(node, scope)
    },
    onStatus: (status) => {
      // What waited for the height of now.
      if (status.synced) reactor.post((scope) => apart(node, 'payments', scope, () => node.payments.goOn(scope)))
      if (status.synced) node.payments.makeRoom()
      if (status.synced) lookForCloses()
      if (status.error) node.logs.of('chain').warn({ err: status.error.message }, 'the chain cannot be followed')
    },
    onUnread: (err) => {
      node.logs
        .of('chain')
        .error({ err }, 'older blocks cannot be read, in which channels may have closed: tried again')
    },
    onBack: (scope) => {
      const what = 'what waits for a block is handed to it, since its mempool may be empty'
      node.logs.of('chain').info(`the Bitcoin node is there again: ${what}`)
      rebroadcastAll(node, scope)
    },
    onFatal: node.resources.onFatal,
  }
}

/** Our channels with the node at the other end of a hop, the one meant first. @source BOLT 4 §non-strict-forwarding */
function channelsTo({ channels, chain }: Node, next: NextHop): readonly OutgoingChannel[] {
  const meant = next.tag === 'channel' ? channels.byScid(next.shortChannelId) : undefined
  const peer = next.tag === 'node' ? next.nodeId : meant?.meta.peer
  if (peer === undefined) return []
  const others = channels.ofPeer(peer).filter((entry) => entry !== meant)
  return [...(meant ? [meant] : []), ...others].flatMap((entry) => outgoingChannel(entry, chain.height) ?? [])
}
