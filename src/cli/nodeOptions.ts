import type { Command } from 'commander'
import { type ResolvedConfig, resolveConfig } from '../node/config.ts'
import { CONFIG_OPTIONS } from '../node/configOptions.ts'

const camelCase = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

/** Every option of a node as a flag; `--data-dir` is one of the whole program. */
export function addNodeOptions(command: Command): Command {
  for (const [name, { placeholder, describe, fallback }] of Object.entries(CONFIG_OPTIONS)) {
    if (name === 'data-dir') continue
    const flag = placeholder === null ? `--${name}` : `--${name} <${placeholder}>`
    command.option(flag, fallback && placeholder !== null ? `${describe} (default ${fallback})` : describe)
  }
  return command.option('--config <FILE>', 'configuration file (default fulmen.toml in the data directory)')
}

/** @throws ConfigError */
export function nodeConfig(command: Command): ResolvedConfig {
  const options = command.optsWithGlobals<Record<string, string | boolean | undefined>>()
  const flags = Object.fromEntries(Object.keys(CONFIG_OPTIONS).map((name) => [name, options[camelCase(name)]]))
  const { config } = options
  return resolveConfig({ flags, env: process.env, ...(typeof config === 'string' && { file: config }) })
}
