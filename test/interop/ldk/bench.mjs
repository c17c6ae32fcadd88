import { randomBytes } from 'node:crypto'
import { hex } from './bitcoin-mini.mjs'

/** `count` payments with at most `in_flight` outstanding; latency is send call -> PaymentSent. */
export function benchPay(node, { count, in_flight, msat, payee, invoices }) {
  return new Promise((resolve) => {
    const t0 = new Float64Array(count),
      lat = [],
      fails = {}
    let next = 0,
      active = 0,
      done = 0,
      deferred = 0,
      peak = 0
    const cpu0 = process.cpuUsage(),
      s0 = { ...node.stats },
      begin = performance.now()
    const fill = () => {
      let sent = 0
      while (active < in_flight && next < count) {
        const i = next,
          id = randomBytes(32)
        const key = hex(id)
        t0[i] = performance.now()
        node.waiters.set(key, (ok, why) => {
          active--
          done++
          if (ok) lat.push(performance.now() - t0[i])
          else fails[why] = (fails[why] ?? 0) + 1
          if (done === count) finish()
        })
        try {
          node.startPayment(invoices ? { invoice: invoices[i] } : { payee, msat }, id)
        } catch (e) {
          // HTLC slots free up a round trip after PaymentSent, so a full pipe may have none yet: try again on the next socket read
          node.waiters.delete(key)
          if (/RouteNotFound/.test(e.message)) {
            if (++deferred > 10_000) throw e
            if (active === 0) setTimeout(() => node.kick(), 2)
            break
          }
          done++
          next++
          fails[e.message] = (fails[e.message] ?? 0) + 1
          if (done === count) return finish()
          continue
        }
        next++
        active++
        sent++
        peak = Math.max(peak, active)
      }
      if (sent) node.kick() // only then: an unconditional kick would spin
    }
    const finish = () => {
      const ms = performance.now() - begin,
        cpu = process.cpuUsage(cpu0)
      node.afterPump = null
      lat.sort((a, b) => a - b)
      const q = (p) => (lat.length ? +lat[Math.min(lat.length - 1, Math.floor(lat.length * p))].toFixed(2) : null)
      const mean = lat.reduce((a, b) => a + b, 0) / lat.length
      resolve({
        count,
        in_flight,
        peak,
        ok: lat.length,
        fails,
        deferred,
        ms: +ms.toFixed(1),
        per_s: +((lat.length / ms) * 1000).toFixed(1),
        p50: q(0.5),
        p90: q(0.9),
        p99: q(0.99),
        max: q(1),
        mean: +mean.toFixed(2),
        cpu_ms: Math.round((cpu.user + cpu.system) / 1000),
        monitor_updates: node.stats.monitorUpdates - s0.monitorUpdates,
        persist_ms: +(node.stats.persistMs - s0.persistMs).toFixed(0),
        logs: node.stats.logs - s0.logs,
      })
    }
    node.afterPump = fill
    fill()
  })
}
