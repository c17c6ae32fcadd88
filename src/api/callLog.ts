import type { Logger } from 'pino'
import type { App } from './app.ts'

/** Whoever follows the log would follow itself. */
const UNLOGGED = '/v1/logs'

/** A line for each call that was answered, at debug: the route and who called, never what a path, a query or a body says. */
export function logCalls(app: App, log: Logger): void {
  app.addHook('onResponse', (request, reply, done) => {
    if (log.isLevelEnabled('debug') && request.routeOptions.url !== UNLOGGED) {
      const { method, caller, routeOptions } = request
      const key = caller === null ? null : caller.keyId
      const seconds = reply.elapsedTime / 1000
      log.debug({ method, route: routeOptions.url ?? null, status: reply.statusCode, key, seconds }, 'call')
    }
    done()
  })
}
