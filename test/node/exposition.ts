/** Prometheus' text format, read: `name{label="value",…}` → value. Anything that is neither a comment nor a sample is an error. */
export function readExposition(text: string): ReadonlyMap<string, number> {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || /^# (HELP|TYPE) [a-zA-Z_:][\w:]* /.test(line)) continue
    const [, series, value] = /^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?) (-?[\d.eE+-]+|Nan|[+-]Inf)$/.exec(line) ?? []
    if (series === undefined) throw new Error(`not a sample: ${line}`)
    if (samples.has(series)) throw new Error(`told twice: ${series}`)
    samples.set(series, Number(value?.replace('Inf', 'Infinity')))
  }
  return samples
}

export const metricNames = (samples: ReadonlyMap<string, number>): ReadonlySet<string> =>
  new Set([...samples.keys()].map((series) => series.replace(/\{.*/, '')))
