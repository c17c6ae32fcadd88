import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

// Started by fork(): what it answers is its argument. It does nothing else, so that what its answers take is the machine's time and that of whoever asks.
const [, , body = ''] = process.argv
const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body) }
const server = createServer((_request, response) => response.writeHead(200, headers).end(body))
server.listen(0, '127.0.0.1', () => process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
process.on('disconnect', () => process.exit(0)) // whoever started us is gone
