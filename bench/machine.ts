import nodeCrypto from 'node:crypto'
import { cpus, loadavg } from 'node:os'
import { round } from './harness.ts'

/** What the figures were taken on: they can be compared only with others of the same run. */
export interface Machine {
  readonly node: string
  readonly cpu: string
  readonly cores: number
  readonly load: number
  /** OpenSSL's secp256k1 sign and verify pairs per second on one thread at this moment. */
  readonly calibration: number
}

const CALIBRATE_MS = 500

export function machine(): Machine {
  const processors = cpus()
  return {
    node: process.version,
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    load: round(loadavg()[0] ?? 0, 1),
    calibration: calibrate(),
  }
}

export const machineText = (m: Machine): string =>
  `Node ${m.node}, ${m.cpu} × ${m.cores}, load ${m.load}, calibration ${m.calibration} (OpenSSL sign + verify per second)`

function calibrate(): number {
  const keys = nodeCrypto.generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
  const message = Buffer.alloc(32, 7)
  let pairs = 0
  const begin = performance.now()
  while (performance.now() - begin < CALIBRATE_MS) {
    nodeCrypto.verify('sha256', message, keys.publicKey, nodeCrypto.sign('sha256', message, keys.privateKey))
    pairs++
  }
  return Math.round((pairs * 1000) / CALIBRATE_MS)
}
