import { Argument, type Command } from 'commander'
import { bashScript } from '../completion/bash.ts'
import { fishScript } from '../completion/fish.ts'
import { placesOf } from '../completion/tree.ts'
import { zshScript } from '../completion/zsh.ts'

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const

/** The program has all its commands by the time that this one runs. */
export function register(program: Command): void {
  program
    .command('completion')
    .description('a script that completes command lines: source <(fulmen completion bash)')
    .addArgument(new Argument('<shell>').choices(Object.keys(SHELLS)))
    .action((shell: keyof typeof SHELLS) => void process.stdout.write(SHELLS[shell](placesOf(program))))
}
