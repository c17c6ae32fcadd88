import { type Place, pathText, type Values } from './tree.ts'

/** In single quotes, as bash, zsh and fish read them where there is no quote inside. */
const list = (words: readonly string[]): string => `'${words.join(' ').replaceAll("'", '')}'`

/**
 * A script for bash 3.2 or newer, without the package bash-completion: `source <(fulmen completion bash)`.
 * The same walk as commander's: words that are neither options nor their values lead from place to place.
 */
export function bashScript(places: readonly Place[]): string {
  return `# bash completion of fulmen; generated: source <(fulmen completion bash)
_fulmen_at() {
  commands='' options='' valued='' arguments=''
  case "$1" in
${places.map(placeCase).join('\n')}
  esac
}

_fulmen_values() {
  case "$1 $2" in
${places.flatMap(valueCases).join('\n')}
  esac
}

_fulmen() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  local path='' skip='' word i commands options valued arguments
  _fulmen_at ''
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ -n $skip ]]; then skip=''; continue; fi
    if [[ " $valued " == *" $word "* ]]; then skip=1; continue; fi
    if [[ " $commands " == *" $word "* ]]; then path="$path/$word"; _fulmen_at "$path"; fi
  done
  COMPREPLY=()
  if [[ -n $skip ]]; then _fulmen_values "$path" "$prev"; return; fi
  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$cur")); return; fi
  COMPREPLY=($(compgen -W "$commands $arguments" -- "$cur"))
}

complete -F _fulmen fulmen
`
}

function placeCase({ path, commands, options, valued, arguments: choices }: Place): string {
  const names = (described: readonly { readonly name: string }[]) => list(described.map((d) => d.name))
  const sets = [`commands=${names(commands)}`, `options=${names(options)}`, `valued=${list(valued)}`]
  if (choices.length > 0) sets.push(`arguments=${list(choices)}`)
  return `    '${pathText(path)}') ${sets.join(' ')} ;;`
}

function valueCases({ path, values }: Place): string[] {
  return values.map(({ options, of }) => {
    const patterns = options.map((option) => `'${pathText(path)} ${option}'`).join('|')
    return `    ${patterns}) COMPREPLY=($(compgen ${generator(of)} -- "$cur")) ;;`
  })
}

function generator(of: Values): string {
  if (of === 'file') return '-f'
  return of === 'directory' ? '-d' : `-W ${list(of)}`
}
