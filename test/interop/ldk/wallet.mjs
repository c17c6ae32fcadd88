import * as ldk from 'lightningdevkit'
import { extractPsbt, revHex, serializeTx } from './bitcoin-mini.mjs'

// The on-chain wallet has one address, KeysManager's destination script, so LDK itself can sign for it.
export function walletSource(self) {
  return {
    list_confirmed_utxos() {
      return ldk.Result_CVec_UtxoZNoneZ.constructor_ok(
        [...self.utxos.values()].map((u) =>
          ldk.Utxo.constructor_new(
            ldk.OutPoint.constructor_new(u.txid, u.vout),
            ldk.TxOut.constructor_new(u.value, self.walletScript),
            4n + 109n,
          ),
        ),
      )
    },
    get_change_script() {
      return ldk.Result_CVec_u8ZNoneZ.constructor_ok(self.walletScript)
    },
    sign_psbt(psbt) {
      const unsigned = extractPsbt(psbt),
        mine = []
      for (const i of unsigned.inputs) {
        const u = self.utxos.get(`${revHex(i.txid)}:${i.vout}`)
        if (u)
          mine.push(
            ldk.SpendableOutputDescriptor.constructor_static_output(
              ldk.OutPoint.constructor_new(u.txid, u.vout),
              ldk.TxOut.constructor_new(u.value, self.walletScript),
              new Uint8Array(32),
            ),
          )
      }
      const r = self.keys.sign_spendable_outputs_psbt(mine, psbt)
      if (!r.is_ok()) return ldk.Result_TransactionNoneZ.constructor_err()
      return ldk.Result_TransactionNoneZ.constructor_ok(new Uint8Array(serializeTx(extractPsbt(r.res))))
    },
  }
}
