import type { Command, Option } from 'commander'

/** A place in the program where something can be typed. */
export interface Place {
  /** The commands that lead there: `['key', 'rotate']`; `[]` is the program itself. */
  readonly path: readonly string[]
  readonly commands: readonly Described[]
  /** With the leading dashes, long and short forms. */
  readonly options: readonly Described[]
  /** Options that take a value, which is no command. */
  readonly valued: readonly string[]
  /** Of these, what may follow: names of files or directories, or one of a list. */
  readonly values: readonly { readonly options: readonly string[]; readonly of: Values }[]
  /** What the first argument may be, where it is one of a list. */
  readonly arguments: readonly string[]
}

export interface Described {
  readonly name: string
  readonly description: string
}

/** How scripts write a place: `/key/rotate`. */
export const pathText = (path: readonly string[]): string => path.map((name) => `/${name}`).join('')

export type Values = 'file' | 'directory' | readonly string[]

/** Every place of a program, as its help shows it: there is no second list to keep. */
export function placesOf(command: Command, path: readonly string[] = []): readonly Place[] {
  const help = command.createHelp()
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)]
  const subcommands = help.visibleCommands(command)
  const valued = options.filter((o) => o.required || o.optional)
  const place: Place = {
    path,
    commands: subcommands.map((c) => ({ name: c.name(), description: firstLine(c.description()) })),
    options: options.flatMap((o) => flagsOf(o).map((name) => ({ name, description: firstLine(o.description) }))),
    valued: valued.flatMap(flagsOf),
    values: valued.flatMap((o) => {
      const of = valuesOf(o)
      return of === null ? [] : [{ options: flagsOf(o), of }]
    }),
    arguments: command.registeredArguments[0]?.argChoices ?? [],
  }
  return [place, ...subcommands.filter((c) => c.name() !== 'help').flatMap((c) => placesOf(c, [...path, c.name()]))]
}

const flagsOf = ({ short, long }: Option): string[] => [short, long].filter((flag) => flag !== undefined)

function valuesOf({ argChoices, flags }: Option): Values | null {
  if (argChoices) return argChoices
  const placeholder = /[<[]([\w:.]+)/.exec(flags)?.[1]?.toLowerCase()
  if (placeholder === 'file') return 'file'
  return placeholder === 'dir' ? 'directory' : null
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''
