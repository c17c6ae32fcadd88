// Puts the page, style and icon of the dashboard beside its compiled scripts: node scripts/dashboard.mjs [DIST]. Run by `npm run build`.
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const from = join(root, 'src/dashboard')
const to = join(resolve(process.argv[2] ?? join(root, 'dist')), 'dashboard')

mkdirSync(to, { recursive: true })
for (const name of readdirSync(from)) if (/\.(html|css|svg)$/.test(name)) copyFileSync(join(from, name), join(to, name))
