/* Light, dark, or as the system has it. The choice is all that the dashboard ever stores. */

const THEMES = ['auto', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]
const NAME = 'fulmen.theme'

export function theme(): Theme {
  const found = document.documentElement.dataset.theme
  return THEMES.find((name) => name === found) ?? 'auto'
}

/** @param to absent: what was chosen before */
export function applyTheme(to?: Theme): void {
  try {
    if (to !== undefined) localStorage.setItem(NAME, to)
    document.documentElement.dataset.theme = to ?? localStorage.getItem(NAME) ?? 'auto'
  } catch {
    // Storage is turned off: the choice lasts as long as the page.
    document.documentElement.dataset.theme = to ?? 'auto'
  }
  document.dispatchEvent(new Event('themechange'))
}

export const nextTheme = (): Theme => THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]!
