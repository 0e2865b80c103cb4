/** The statistics panel: figures with a minute of history each. */

import type { StreamStats } from '../stats'

const HISTORY = 60
const SVG = 'http://www.w3.org/2000/svg'

interface Row {
  label: string
  value: (stats: StreamStats) => number | null
  text: (value: number, stats: StreamStats) => string
}

const ROWS: readonly Row[] = [
  { label: 'FPS', value: (s) => s.fps, text: (v) => v.toFixed(0) },
  {
    label: 'Input to frame',
    value: (s) => s.inputToFrameMs,
    text: (v) => `${v.toFixed(0)} ms`,
  },
  { label: 'Round trip', value: (s) => s.rtt, text: (v) => `${v.toFixed(1)} ms` },
  { label: 'Bitrate', value: (s) => s.bitrate, text: (v) => `${v.toFixed(2)} Mbit/s` },
  { label: 'Jitter', value: (s) => s.jitter * 1000, text: (v) => `${v.toFixed(1)} ms` },
  { label: 'Packets lost', value: (s) => s.packetsLost, text: (v) => v.toFixed(0) },
]

/** Points of a polyline in a 100 x 20 box, newest on the right. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(1e-9, ...values)
  return values
    .map((value, i) => {
      const x = 100 - (values.length - 1 - i) * (100 / (HISTORY - 1))
      return `${x.toFixed(1)},${(19 - (value / top) * 18).toFixed(1)}`
    })
    .join(' ')
}

export class StatsPanel {
  private readonly cells: Array<{ value: HTMLElement; line: SVGPolylineElement; past: number[] }> =
    []
  private readonly note: HTMLElement

  constructor(root: HTMLElement) {
    for (const row of ROWS) {
      const element = document.createElement('div')
      element.className = 'row'
      const label = document.createElement('span')
      label.textContent = row.label
      const value = document.createElement('b')
      value.textContent = '–'
      value.dataset['stat'] = row.label.toLowerCase().replaceAll(' ', '-')
      const chart = document.createElementNS(SVG, 'svg')
      chart.setAttribute('viewBox', '0 0 100 20')
      chart.setAttribute('preserveAspectRatio', 'none')
      chart.setAttribute('aria-hidden', 'true')
      const line = document.createElementNS(SVG, 'polyline')
      chart.append(line)
      element.append(label, value, chart)
      root.append(element)
      this.cells.push({ value, line, past: [] })
    }
    this.note = document.createElement('div')
    this.note.className = 'row'
    root.append(this.note)
  }

  show(stats: StreamStats): void {
    ROWS.forEach((row, i) => {
      const cell = this.cells[i]
      if (cell === undefined) return
      const value = row.value(stats)
      cell.value.textContent = value === null ? '–' : row.text(value, stats)
      if (value === null) return
      cell.past.push(value)
      if (cell.past.length > HISTORY) cell.past.shift()
      cell.line.setAttribute('points', sparkline(cell.past))
    })
    this.note.textContent = `${stats.width} × ${stats.height} ${stats.codec ?? ''}`
  }

  clear(): void {
    for (const cell of this.cells) {
      cell.value.textContent = '–'
      cell.past = []
      cell.line.removeAttribute('points')
    }
    this.note.textContent = ''
  }
}
