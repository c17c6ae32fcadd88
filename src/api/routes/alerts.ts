import { pageOf as pageOfItems } from '../../node/paging.ts'
import { type AlertRecord, scopeOf } from '../alerts/record.ts'
import type { ApiContext, App } from '../app.ts'
import { callerOf } from '../auth/guard.ts'
import { grants } from '../auth/scopes.ts'
import { Alert, AlertParams, AlertQuery } from '../operatorSchemas.ts'
import { pageOf } from '../scalars.ts'
import { Empty } from '../schemas.ts'
import { pageJson, pageRequest } from './paging.ts'

const tags = ['node']

const alertJson = ({ seq, ...rest }: AlertRecord): Alert => ({ id: String(seq), ...rest })

/** What is wrong with the node, and what was. */
export function alertRoutes(app: App, { alerts }: ApiContext): void {
  app.get(
    '/v1/alerts',
    {
      config: { scope: 'node:read' },
      schema: {
        summary:
          'What somebody should see to, newest first, with reason and cure; alerts about keys need keys:admin as well',
        tags,
        querystring: AlertQuery,
        response: { 200: pageOf(Alert) },
      },
    },
    async (request) => {
      const { state } = request.query
      const { scopes } = callerOf(request)
      const seen = alerts.list((code) => grants(scopes, scopeOf(code)))
      const wanted =
        state === undefined ? seen : seen.filter((one) => (one.clearedAt === null) === (state === 'raised'))
      return pageJson(
        pageOfItems(wanted, ({ seq }) => String(seq), pageRequest(request.query)),
        alertJson,
      )
    },
  )

  app.post(
    '/v1/alerts/:id/acknowledge',
    {
      config: { scope: '*', audited: true },
      schema: {
        summary: 'Somebody knows: an alert that no check would clear is cleared, any other stays until it is put right',
        tags,
        params: AlertParams,
        body: Empty,
        response: { 200: Alert },
      },
    },
    async ({ params }) => alertJson(await alerts.acknowledge(Number(params.id))),
  )
}
