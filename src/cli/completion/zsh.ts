import { type Described, type Place, pathText, type Values } from './tree.ts'

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
/** As _describe takes it: a colon ends the word. */
const entry = ({ name, description }: Described): string =>
  quoted(`${name.replaceAll(':', '\\:')}:${description.replaceAll(':', '\\:')}`)

/** A script for zsh, with what each word means: `source <(fulmen completion zsh)` after compinit. */
export function zshScript(places: readonly Place[]): string {
  return `#compdef fulmen
# zsh completion of fulmen; generated: source <(fulmen completion zsh)
_fulmen_at() {
  commands=() options=() valued=() arguments=()
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
  local at='' skip='' word i
  local -a commands options valued arguments
  _fulmen_at ''
  for ((i = 2; i < CURRENT; i++)); do
    word="\${words[i]}"
    if [[ -n $skip ]]; then skip=''; continue; fi
    if (( \${valued[(Ie)$word]} )); then skip=1; continue; fi
    if (( \${commands[(I)\${word}:*]} )); then at="$at/$word"; _fulmen_at "$at"; fi
  done
  if [[ -n $skip ]]; then _fulmen_values "$at" "\${words[CURRENT-1]}"; return; fi
  if [[ $PREFIX == -* ]]; then _describe option options; return; fi
  if (( \${#arguments} )); then compadd -- $arguments; else _describe command commands; fi
}

compdef _fulmen fulmen
`
}

function placeCase({ path, commands, options, valued, arguments: choices }: Place): string {
  const sets = [
    `commands=(${commands.map(entry).join(' ')})`,
    `options=(${options.map(entry).join(' ')})`,
    `valued=(${valued.map(quoted).join(' ')})`,
    `arguments=(${choices.map(quoted).join(' ')})`,
  ]
  return `    '${pathText(path)}') ${sets.join('\n      ')} ;;`
}

function valueCases({ path, values }: Place): string[] {
  return values.map(({ options, of }) => {
    const patterns = options.map((option) => quoted(`${pathText(path)} ${option}`)).join('|')
    return `    ${patterns}) ${generator(of)} ;;`
  })
}

function generator(of: Values): string {
  if (of === 'file') return '_files'
  return of === 'directory' ? '_files -/' : `compadd -- ${of.map(quoted).join(' ')}`
}
