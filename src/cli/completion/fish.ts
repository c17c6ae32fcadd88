import { type Described, type Place, pathText, type Values } from './tree.ts'

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

/** A script for fish 3 or newer, with what each word means: `fulmen completion fish | source`. */
export function fishScript(places: readonly Place[]): string {
  return `# fish completion of fulmen; generated: fulmen completion fish | source
function __fulmen_place
    set -l place ''
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip -eq 1
            set skip 0
            continue
        end
        switch "$place $word"
${switchCases(places)}
        end
    end
    echo "$place"
end

function __fulmen_at
    test (__fulmen_place) = "$argv[1]"
end

complete -c fulmen -f
${places.flatMap(completions).join('\n')}
`
}

/** Where each word leads, and which words take the next one for themselves. */
function switchCases(places: readonly Place[]): string {
  return places
    .flatMap(({ path, commands, valued }) => [
      ...commands.map(
        ({ name }) => `            case ${quoted(`${pathText(path)} ${name}`)}
                set place ${quoted(pathText([...path, name]))}`,
      ),
      ...valued.map(
        (option) => `            case ${quoted(`${pathText(path)} ${option}`)}
                set skip 1`,
      ),
    ])
    .join('\n')
}

function completions({ path, commands, options, valued, values, arguments: choices }: Place): string[] {
  const at = `complete -c fulmen -n ${quoted(`__fulmen_at ${quoted(pathText(path))}`)}`
  const word = ({ name, description }: Described) => `${at} -a ${quoted(name)} -d ${quoted(description)}`
  const option = ({ name, description }: Described) => {
    const flag = name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`
    const of = values.find((v) => v.options.includes(name))?.of
    const takes = valued.includes(name) ? ` -r ${of === undefined ? '' : generator(of)}` : ''
    return `${at} ${flag}${takes} -d ${quoted(description)}`
  }
  return [...commands.map(word), ...options.map(option), ...choices.map((name) => word({ name, description: '' }))]
}

function generator(of: Values): string {
  if (of === 'file') return '-F'
  return of === 'directory' ? `-a '(__fish_complete_directories)'` : `-a ${quoted(of.join(' '))}`
}
