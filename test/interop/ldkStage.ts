import type { Counterpart, Outcome, Stage } from './stage.ts'
import type { World } from './world.ts'

/** What LDK says of a payment of its own. */
const OUTCOMES: Readonly<Record<string, Outcome>> = { sent: 'succeeded', failed: 'failed' }

/** LDK as the counterpart of lives. @param w its LDK asks about each payment that comes: autoclaim is off */
export function ldkStage(w: World): Stage {
  return {
    us: w.us,
    them: counterpart(w),
    link: w.link,
    isConnected: async () => (await w.peer()).connected,
    connect: () => w.connect(),
    mine: () => w.mine(),
    setFeerate: (feeratePerKw) => {
      w.ground.feerate = feeratePerKw
    },
    until: (what, isTrue) => w.until(what, isTrue),
  }
}

function counterpart({ ldk, us }: World): Counterpart {
  /** By hash, of what came to LDK. */
  const [held, claimable, claimed] = [new Set<string>(), new Set<string>(), new Set<string>()]
  ldk.onEvent((e) => {
    const hash = String(e.hash)
    if (e.event === 'PaymentClaimed') claimed.add(hash)
    if (e.event !== 'PaymentClaimable') return
    claimable.add(hash)
    if (!held.has(hash)) void ldk.cmd('claim', { hash })
  })
  const sent = ({ payment_id, hash }: { readonly payment_id: string; readonly hash: string }) => ({
    id: payment_id,
    hash,
  })
  return {
    nodeId: ldk.nodeId,
    seesUs: async () => (await ldk.cmd('list_peers')).length > 0,
    invoice: async (amountMsat, isHeld) => {
      const { invoice, hash } = await ldk.cmd('create_invoice', { msat: amountMsat })
      if (isHeld) held.add(hash)
      return invoice
    },
    pay: async (bolt11) => sent(await ldk.cmd('pay', { invoice: bolt11 })),
    keysend: async (payee, amountMsat) => sent(await ldk.cmd('keysend', { pubkey: payee, msat: amountMsat })),
    decide: async (hash, settle) => {
      if (!claimable.has(hash)) return false
      await ldk.cmd(settle ? 'claim' : 'fail', { hash })
      return true
    },
    refuse: async (hash) => void (await ldk.cmd('fail', { hash })),
    outcome: async ({ id }) => {
      const found = (await ldk.cmd('list_payments')).find((p) => p.payment_id === id)
      return OUTCOMES[found!.status] ?? 'pending'
    },
    isReceived: async (hash) => claimed.has(hash),
    hangUp: async () => void (await ldk.cmd('disconnect', { pubkey: us.nodeId })),
    setFeerate: async (feeratePerKw) => void (await ldk.cmd('set_feerate', { sat_per_kw: feeratePerKw })),
  }
}
