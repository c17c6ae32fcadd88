import type { Scope } from '../api/auth/scopes.ts'
import type { Child } from './dom.ts'
import type { IconName } from './icons.ts'
import type { Live } from './live.ts'

/** What the views share. */
export interface App {
  readonly live: Live
  /** Shows another view. */
  go(route: string): void
  signOut(why?: unknown): void
}

/** What a page of the dashboard shows. What it watches ends with the signal. */
export type Render = (app: App, signal: AbortSignal) => Child

/** A page of the dashboard. */
export interface View {
  readonly route: string
  readonly title: string
  readonly icon: IconName
  /** With any of them the page is of some use. */
  readonly scopes: readonly Scope[]
  /** Its module: fetched when it is first shown. */
  load(): Promise<{ readonly render: Render }>
}
