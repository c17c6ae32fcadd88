import type { NodeConfig } from '../../src/node/config.ts'

/** Of a node on an embedded chain that listens to nobody and logs nothing. */
export const quietConfig = (dataDir: string, more: Partial<NodeConfig> = {}): NodeConfig => ({
  dataDir,
  network: 'regtest',
  chain: { kind: 'embedded' },
  mineEverySeconds: 0,
  api: { host: '127.0.0.1', port: 0 },
  apiHosts: [],
  listen: null,
  announce: [],
  alias: 'test',
  passphraseFile: null,
  logLevel: 'silent',
  ...more,
})
