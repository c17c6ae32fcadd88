// TCP <-> LDK PeerManager glue over node:net.
// Same job as the npm package lightningdevkit-node-net, which (0.1.0 and 0.2.5-0) never clears its "write blocked" flag after
// 'drain': one write over the 16 KiB high-water mark (e.g. commitment_signed with > ~250 HTLC signatures) ends its sending.
import net from 'node:net'
import * as ldk from 'lightningdevkit'

export class LdkNet {
  #nextId = 1n
  #servers = []
  #live = new Set()
  constructor(peerManager, { onActivity = () => {}, onClose = () => {} } = {}) {
    this.pm = peerManager
    this.onActivity = onActivity
    this.onClose = onClose
  }

  #attach(sock) {
    sock.setNoDelay(true)
    const { pm, onActivity } = this,
      id = this.#nextId++,
      live = this.#live
    let blocked = false,
      gone = false
    const rec = { sock, desc: null }
    const desc = ldk.SocketDescriptor.new_impl({
      send_data(data, resumeRead) {
        if (resumeRead && sock.isPaused()) sock.resume()
        if (blocked || gone) return 0
        // node queues the bytes itself whatever write() returns, so they all count as sent;
        // false only means LDK must not hand over more before 'drain'.
        if (data.length && !sock.write(data)) blocked = true
        return data.length
      },
      disconnect_socket() {
        gone = true
        sock.destroySoon()
      },
      eq(other) {
        return other.hash() === id
      },
      hash() {
        return id
      },
    })
    rec.desc = desc
    live.add(rec) // the descriptor must stay reachable from JS
    const ended = () => {
      if (!live.delete(rec)) return
      gone = true
      pm.socket_disconnected(desc)
      onActivity()
      this.onClose()
    }
    sock.on('drain', () => {
      blocked = false
      if (gone) return
      if (!pm.write_buffer_space_avail(desc).is_ok()) {
        gone = true
        sock.destroy()
      }
    })
    sock.on('data', (chunk) => {
      if (gone) return
      const r = pm.read_event(desc, chunk)
      if (!r.is_ok()) {
        gone = true
        sock.destroySoon()
      } else if (r.res) sock.pause()
      onActivity()
    })
    sock.on('close', ended)
    sock.on('error', ended)
    return desc
  }

  static #addr(sock) {
    const ip = sock.remoteAddress
    if (ip && net.isIPv4(ip))
      return ldk.Option_SocketAddressZ.constructor_some(
        ldk.SocketAddress.constructor_tcp_ip_v4(Uint8Array.from(ip.split('.').map(Number)), sock.remotePort),
      )
    return ldk.Option_SocketAddressZ.constructor_none()
  }

  listen(host, port) {
    return new Promise((res, rej) => {
      const srv = net.createServer((sock) => {
        const d = this.#attach(sock)
        if (!this.pm.new_inbound_connection(d, LdkNet.#addr(sock)).is_ok()) sock.destroy()
      })
      srv.once('error', rej)
      srv.listen(port, host, () => {
        this.#servers.push(srv)
        res(srv.address().port)
      })
    })
  }

  connect(host, port, nodeId) {
    return new Promise((res, rej) => {
      const sock = net.connect(port, host)
      sock.once('error', rej)
      sock.once('connect', () => {
        const d = this.#attach(sock)
        const r = this.pm.new_outbound_connection(nodeId, d, LdkNet.#addr(sock))
        if (!r.is_ok()) {
          sock.destroy()
          return rej(new Error('new_outbound_connection failed'))
        }
        sock.write(r.res)
        res()
      })
    })
  }

  stop() {
    for (const s of this.#servers) s.close()
    this.pm.disconnect_all_peers()
    for (const { sock } of this.#live) sock.destroy()
  }
}
