import type { ApiContext, App } from '../app.ts'
import { BackupCheck, VerifyBackup } from '../schemas.ts'

export function backupRoutes(app: App, { service }: ApiContext): void {
  app.post(
    '/v1/backup/verify',
    {
      config: { scope: '*', audited: true },
      schema: {
        summary: 'Whether a copy of the channel backup is whole, of this seed, and has every channel',
        tags: ['node'],
        body: VerifyBackup,
        response: { 200: BackupCheck },
      },
    },
    async ({ body }) => {
      const { missing, ...check } = await service.verifyBackup(new Uint8Array(Buffer.from(body.data, 'base64')))
      return { ...check, missing: [...missing] }
    },
  )
}
