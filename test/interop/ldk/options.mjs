export const options = {
  port: { type: 'string', default: '0' },
  host: { type: 'string', default: '127.0.0.1' },
  seed: { type: 'string' }, // 32 bytes hex; random when absent
  alias: { type: 'string', default: 'ldk-peer' },
  anchors: { type: 'string', default: '1' }, // advertise + negotiate anchors_zero_fee_htlc_tx
  'scid-privacy': { type: 'string', default: '0' },
  'zero-conf': { type: 'string', default: '0' }, // accept inbound channels as trusted 0-conf
  'min-depth': { type: 'string', default: '3' },
  'to-self-delay': { type: 'string', default: '144' },
  'max-htlcs': { type: 'string', default: '483' },
  feerate: { type: 'string', default: '253' }, // sat per 1000 weight, for every target
  autoclaim: { type: 'string', default: '1' },
  persist: { type: 'string', default: 'none' }, // none | update | full   (update/full fsync to --dir)
  dir: { type: 'string', default: '.' },
  log: { type: 'string', default: 'off' }, // off | error | warn | info | debug | trace (to stderr)
}
