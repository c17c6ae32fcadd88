import { expect, it } from 'vitest'
import { startGround } from './ground.ts'
import { OurNode } from './ourNode.ts'

it.each([true, false])(
  'a node that dies of the write for a block is stopped, and takes it in after a restart; kept: %s',
  async (isKept) => {
    const ground = await startGround()
    const node = await OurNode.start(ground.url, () => undefined)
    const until = async (isTrue: () => boolean): Promise<void> => {
      while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const isAtTip = (): boolean => node.service.info().blockHeight === ground.chain.state.height
    await until(isAtTip)
    node.dieAt({ before: 0, isKept })
    ground.mineBlock()
    await until(() => node.isDead)
    await node.stop()
    await node.restart()
    await until(isAtTip)
    expect((await node.service.wallet()).confirmedSat).toBe(0n)
    await node.destroy()
    await ground.close()
  },
)
