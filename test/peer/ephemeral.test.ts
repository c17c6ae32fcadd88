import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { startInitiator } from '../../src/noise/handshake.ts'
import { HOST, idOf, key, silentServer, TestNode } from './harness.ts'

const ACT_LENGTH = 50
/** The ephemeral key in the first act that a side sends: version, key, tag. */
async function keyIn(socket: Socket): Promise<string> {
  let bytes = Buffer.alloc(0)
  while (bytes.length < ACT_LENGTH) bytes = Buffer.concat([bytes, (await once(socket, 'data'))[0] as Buffer])
  return toHex(new Uint8Array(bytes.subarray(1, 34)))
}

describe('BOLT 8 §handshake-state: a key for one session', () => {
  it('is new in every connection, for who dials and for who answers, and is not the node’s own', async () => {
    const keys: string[] = []
    const { port, server } = await silentServer()
    for (let n = 0; n < 3; n++) {
      const alice = new TestNode(1)
      const accepted = once(server, 'connection')
      alice.manager.connect(idOf(key(50)), HOST, port).catch(() => {})
      keys.push(await keyIn((await accepted)[0] as Socket))
      await alice.stop()
    }
    const bob = await TestNode.start(2)
    for (let n = 0; n < 3; n++) {
      const socket = connect(bob.port, HOST)
      await once(socket, 'connect')
      // The same act one each time: what is new is the answerer's.
      const act = startInitiator({ local: key(3), ephemeral: key(4), remote: bob.key.publicKey })
      if (!act.ok) throw new Error(act.error)
      socket.write(act.value.message)
      keys.push(await keyIn(socket))
      socket.destroy()
    }
    expect(new Set([...keys, ...[1, 2].map((n) => toHex(key(n).publicKey))]).size).toBe(8)
  })
})
