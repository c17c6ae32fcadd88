import { rm } from 'node:fs/promises'
import type { Command } from 'commander'
import type { RunningApi } from '../../api/start.ts'
import type { ApiAccess } from '../../node/access.ts'
import type { NodeConfig } from '../../node/config.ts'
import type { NodeService } from '../../node/service.ts'
import { writeFileAtomic } from '../../store/files.ts'
import { CliError } from '../errors.ts'
import { logForPeople } from '../logText.ts'
import { addNodeOptions, nodeConfig } from '../nodeOptions.ts'
import { notice, show } from '../output.ts'
import { apiPinFile, apiUrlFile } from '../remote.ts'
import { stopSignal, upBefore } from '../signals.ts'

export function register(program: Command): void {
  addNodeOptions(program.command('start').description('run a node until SIGTERM or Ctrl-C')).action(
    async (_options, command: Command) => {
      const { config, access, warnings } = nodeConfig(command)
      for (const warning of warnings) notice(`warning: ${warning}`)
      await run(config, access, command.optsWithGlobals().json === true)
    },
  )
}

async function run(config: NodeConfig, access: ApiAccess, json: boolean): Promise<void> {
  const stopped = stopSignal()
  const { startNode } = await import('../../node/start.ts')
  const node = await upBefore(stopped, () => startNode(config, logForPeople(process.stderr)))
  try {
    await rm(apiPinFile(config.dataDir), { force: true }) // of a run that was killed
    const api = await serve(node.service, config, access)
    const reload = () => void api.reload()
    if (access.tls) process.on('SIGHUP', reload)
    try {
      await writeFileAtomic(apiUrlFile(config.dataDir), `${api.url}\n`)
      announce(api, node, config, json)
      await stopped
    } finally {
      process.off('SIGHUP', reload)
      for (const file of [apiUrlFile, apiPinFile]) await rm(file(config.dataDir), { force: true }).catch(() => {})
      await api.stop()
    }
  } finally {
    await node.stop()
  }
}

async function serve(service: NodeService, config: NodeConfig, access: ApiAccess): Promise<RunningApi> {
  const { startApi } = await import('../../api/start.ts')
  const { api, apiHosts, dataDir } = config
  try {
    return await startApi(service, {
      host: api.host,
      port: api.port,
      hosts: apiHosts,
      dataDir,
      access,
      surroundings: { ...(config.margins && { closeBeforeExpiry: config.margins.closeBeforeExpiry }) },
      onPin: (pin) => writeFileAtomic(apiPinFile(dataDir), `${pin}\n`),
      onInternalError: (error, { method, route }) =>
        service.logs.of('api').error({ err: error, method, route }, 'this call failed'),
    })
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException
    if (syscall !== 'listen' && syscall !== 'getaddrinfo') throw error
    const why = code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be listened on (${message})`
    throw new CliError(`api: ${api.host}:${api.port} ${why}; choose another with --api`)
  }
}

function announce(
  api: RunningApi,
  node: { service: NodeService; listen: string | null },
  config: NodeConfig,
  json: boolean,
): void {
  const { nodeId, blockHeight } = node.service.info()
  const { path, created } = api.adminKey
  const ready = {
    nodeId,
    network: config.network,
    blockHeight,
    api: api.url,
    docs: `${api.url}/docs`,
    ...(api.pin !== null && { tlsPin: api.pin }),
    listen: node.listen,
    keyFile: path,
  }
  show(json, ready, () =>
    [
      `fulmen is ready: ${nodeId} on ${config.network}`,
      `  chain      from block ${blockHeight} on`,
      `  API        ${ready.api}`,
      `  dashboard  ${ready.api}/`,
      `  docs       ${ready.docs}`,
      ...(api.pin === null ? [] : [`  TLS pin    ${api.pin}`]),
      `  Lightning  ${node.listen ?? 'not listening'}`,
      `  key        ${path}`,
    ].join('\n'),
  )
  if (created !== null && !json) notice(`The admin key, shown this once: ${created}`)
}
