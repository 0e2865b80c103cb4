/** The statistics panel: figures with a minute of history each. */

import type { StreamStats } from '../stats.js'

const HISTORY = 60
const SVG = 'http://www.w3.org/2000/svg'
const NONE = '–'

interface Row {
  id: string
  label: string
  help: string
  value: (stats: StreamStats) => number | null
  text: (value: number) => string
}

const ROWS: readonly Row[] = [
  {
    id: 'fps',
    label: 'FPS',
    help: 'Frames decoded in the last second. An idle picture is refreshed twice a second.',
    value: (s) => s.fps,
    text: (v) => v.toFixed(0),
  },
  {
    id: 'input-to-frame',
    label: 'Input to frame',
    help: 'From sending an input to the picture that shows it; median of the last second.',
    value: (s) => s.inputToFrameMs,
    text: (v) => `${v.toFixed(0)} ms`,
  },
  {
    id: 'round-trip',
    label: 'Round trip',
    help: 'Of the network path that carries the media.',
    value: (s) => s.rtt,
    text: (v) => `${v.toFixed(1)} ms`,
  },
  {
    id: 'bitrate',
    label: 'Bitrate',
    help: 'Video received in the last second.',
    value: (s) => s.bitrate,
    text: (v) => (v < 0.1 ? `${(v * 1000).toFixed(0)} kbit/s` : `${v.toFixed(2)} Mbit/s`),
  },
  {
    id: 'jitter',
    label: 'Jitter',
    help: 'Of the packets’ arrival.',
    value: (s) => s.jitter * 1000,
    text: (v) => `${v.toFixed(1)} ms`,
  },
  {
    id: 'packets-lost',
    label: 'Packets lost',
    help: 'Since the beginning.',
    value: (s) => s.packetsLost,
    text: (v) => v.toFixed(0),
  },
]

/** Points of a line in a 100 x 20 box, newest on the right. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(1e-9, ...values)
  return values
    .map((value, i) => {
      const x = 100 - (values.length - 1 - i) * (100 / (HISTORY - 1))
      return `${x.toFixed(1)},${(19 - (Math.max(0, value) / top) * 18).toFixed(1)}`
    })
    .join(' ')
}

interface Cell {
  value: HTMLElement
  line: SVGPolylineElement
  area: SVGPolygonElement
  past: number[]
}

export class StatsPanel {
  private readonly cells: Cell[]

  constructor(
    rows: HTMLElement,
    private readonly note: HTMLElement,
  ) {
    this.cells = ROWS.map((row) => addRow(rows, row))
  }

  show(stats: StreamStats, worker: string | null): void {
    ROWS.forEach((row, i) => {
      const cell = this.cells[i]
      if (cell === undefined) return
      const value = row.value(stats)
      cell.value.classList.toggle('old', value === null)
      if (value === null) return
      cell.value.textContent = row.text(value)
      cell.past.push(value)
      if (cell.past.length > HISTORY) cell.past.shift()
      draw(cell)
    })
    const codec = stats.codec?.replace('video/', '').replace('H264', 'H.264')
    const by = worker === null ? null : `worker ${worker}`
    this.note.textContent = [`${stats.width} × ${stats.height}`, codec, by]
      .filter(Boolean)
      .join(' · ')
  }

  clear(): void {
    for (const cell of this.cells) {
      cell.value.textContent = NONE
      cell.past = []
      draw(cell)
    }
    this.note.textContent = ''
  }
}

function addRow(rows: HTMLElement, row: Row): Cell {
  const element = document.createElement('div')
  element.className = 'row'
  element.title = row.help
  const label = document.createElement('span')
  label.textContent = row.label
  const value = document.createElement('b')
  value.textContent = NONE
  value.dataset['stat'] = row.id
  const chart = document.createElementNS(SVG, 'svg')
  chart.setAttribute('viewBox', '0 0 100 20')
  chart.setAttribute('preserveAspectRatio', 'none')
  chart.setAttribute('aria-hidden', 'true')
  const area = document.createElementNS(SVG, 'polygon')
  const line = document.createElementNS(SVG, 'polyline')
  chart.append(area, line)
  element.append(label, value, chart)
  rows.append(element)
  return { value, line, area, past: [] }
}

function draw({ line, area, past }: Cell): void {
  const points = sparkline(past)
  line.setAttribute('points', points)
  const left = points.split(',', 1)[0] ?? '100'
  area.setAttribute('points', past.length > 1 ? `${left},20 ${points} 100,20` : '')
}
