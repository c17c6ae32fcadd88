import fs from 'node:fs'
import path from 'node:path'
import * as ldk from 'lightningdevkit'
import * as raw from 'lightningdevkit/bindings.mjs'
import { hex, varint } from './bitcoin-mini.mjs'

// Written against the raw callbacks (as for the logger): on every update the bindings hand JS an owned CLONE of the
// whole ChannelMonitor. V8 sees a 40-byte wrapper and is in no hurry to finalize it, so under load the WASM heap grows
// by up to a megabyte an update, passes 2 GiB, pointers turn negative in JS and the node dies. Free them right here.
export function persister(node) {
  const done = ldk.ChannelMonitorUpdateStatus.LDKChannelMonitorUpdateStatus_Completed
  const { persist, dir } = node.opt
  const bytes = (arr) => raw.decodeUint8Array(arr)
  let logFd, dirFd
  if (persist !== 'none') {
    fs.mkdirSync(dir, { recursive: true })
    logFd = fs.openSync(path.join(dir, 'monitor-updates.log'), 'a')
    dirFd = fs.openSync(dir, 'r')
  }
  const whole = (op, mon) => {
    const f = path.join(dir, `monitor-${hex(bytes(raw.OutPoint_write(op)))}`),
      b = bytes(raw.ChannelMonitor_write(mon))
    const fd = fs.openSync(`${f}.tmp`, 'w')
    fs.writeSync(fd, b)
    fs.fsyncSync(fd)
    fs.closeSync(fd)
    fs.renameSync(`${f}.tmp`, f)
    fs.fsyncSync(dirFd)
    return b.length
  }
  const append = (upd) => {
    const b = bytes(raw.ChannelMonitorUpdate_write(upd)),
      rec = Buffer.concat([varint(b.length), b])
    fs.writeSync(logFd, rec)
    fs.fdatasyncSync(logFd)
    return rec.length
  }
  const timed = (fn) => {
    const t = performance.now()
    node.stats.monitorBytes += fn()
    node.stats.persistMs += performance.now() - t
  }
  return {
    persist_new_channel: (op, mon) => {
      if (persist !== 'none') timed(() => whole(op, mon))
      raw.OutPoint_free(op)
      raw.ChannelMonitor_free(mon)
      return done
    },
    update_persisted_channel: (op, upd, mon) => {
      node.stats.monitorUpdates++
      if (persist === 'full' || (persist === 'update' && !upd)) timed(() => whole(op, mon))
      else if (persist === 'update') timed(() => append(upd))
      raw.OutPoint_free(op)
      if (upd) raw.ChannelMonitorUpdate_free(upd)
      raw.ChannelMonitor_free(mon)
      return done
    },
  }
}
