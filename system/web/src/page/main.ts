/** The workspace page: one client, its controls and its panels. */

import { RemoteRenderClient, type ConnectionStatus } from '../client'
import { RemoteRenderError } from '../errors'
import { Controls } from './controls'
import { StatsPanel } from './panel'

const LABELS: Record<ConnectionStatus, string> = {
  idle: 'Disconnected',
  connecting: 'Connecting',
  queued: 'Waiting',
  connected: 'Connected',
  reconnecting: 'Reconnecting',
  closed: 'Disconnected',
}

function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id)
  if (!(found instanceof type)) throw new Error(`the page lacks #${id}`)
  return found
}

const video = element('video', HTMLVideoElement)
const badge = element('badge', HTMLSpanElement)
const connectButton = element('connect', HTMLButtonElement)
const overlay = element('overlay', HTMLDivElement)
const waiting = element('waiting', HTMLElement)
const waitingText = element('waiting-text', HTMLParagraphElement)
const problem = element('problem', HTMLElement)
const problemText = element('problem-text', HTMLParagraphElement)
const statsBox = element('stats', HTMLElement)
const showStats = element('show-stats', HTMLInputElement)
const selection = element('selection', HTMLElement)
const selectedName = element('selected-name', HTMLElement)
const linkButton = element('link', HTMLButtonElement)
const linkType = element('link-type', HTMLSelectElement)
const linkHint = element('link-hint', HTMLParagraphElement)

const panel = new StatsPanel(statsBox)
const controls = new Controls(video)
const query = new URLSearchParams(location.search)

function setting(name: string, fallback: string): string {
  return query.get(name) ?? fallback
}

/** An id for this browser, so that a reload is the same viewer. */
function userId(): string {
  const kept = sessionStorage.getItem('remote-render-user')
  if (kept !== null) return kept
  const fresh = `viewer-${crypto.randomUUID().slice(0, 8)}`
  sessionStorage.setItem('remote-render-user', fresh)
  return fresh
}

const pacing = query.get('pacing')
const signalingServerUrl = setting('signaling', new URL('ws', location.href).toString())
const client = new RemoteRenderClient({
  signalingServerUrl,
  videoElement: video,
  measureLatency: query.get('latency') !== 'off',
  preferCodec: query.get('codec') === 'vp8' ? 'vp8' : 'h264',
  ...(pacing === 'constant' || pacing === 'on_demand' ? { pacing } : {}),
  ...(query.get('token') === null ? {} : { token: setting('token', '') }),
})
controls.client = client

function showStatus(status: ConnectionStatus): void {
  badge.textContent = LABELS[status]
  badge.dataset['status'] = status
  const busy = status === 'connecting' || status === 'queued' || status === 'reconnecting'
  connectButton.textContent = status === 'idle' || status === 'closed' ? 'Connect' : 'Disconnect'
  waiting.hidden = !(status === 'connecting' || status === 'queued')
  if (status === 'connecting') waitingText.textContent = 'Connecting to a render worker…'
  if (busy || status === 'connected') problem.hidden = true
  overlay.hidden = waiting.hidden && problem.hidden
}

function select(deviceId: string | null): void {
  const source = controls.selected
  if (controls.linking && source !== null && deviceId !== null && deviceId !== source) {
    client.sendConnectionCreate(source, deviceId, linkType.value)
    controls.setLinking(false)
  }
  controls.selected = deviceId
  if (deviceId === null) controls.setLinking(false)
  selection.hidden = deviceId === null
  selectedName.textContent = deviceId ?? ''
}

client.on('status', showStatus)
client.on('queued', ({ position, etaMs }) => {
  const eta = etaMs === null ? '' : `, about ${Math.max(1, Math.round(etaMs / 1000))} s`
  waitingText.textContent = `Waiting for a worker: position ${position}${eta}`
})
client.on('stats', (stats) => panel.show(stats))
client.on('selected', select)
client.on('state', ({ state }) => controls.setState(state))
client.on('disconnected', () => {
  panel.clear()
  select(null)
})
client.on('error', (error) => {
  problemText.textContent = error.message
  problem.hidden = false
  overlay.hidden = false
})

function connect(): void {
  client.connect(setting('userId', userId()), setting('projectId', 'demo')).catch((error: unknown) => {
    if (!(error instanceof RemoteRenderError)) throw error
    if (error.code === 'closed' && !error.retryable) problem.hidden = true
    overlay.hidden = waiting.hidden && problem.hidden
  })
}

connectButton.addEventListener('click', () => {
  if (client.status === 'idle' || client.status === 'closed') connect()
  else client.disconnect()
})
element('retry', HTMLButtonElement).addEventListener('click', connect)
showStats.addEventListener('change', () => {
  statsBox.hidden = !showStats.checked
})
linkButton.addEventListener('click', () => controls.setLinking(!controls.linking))
controls.onLinkingChange = () => {
  linkButton.setAttribute('aria-pressed', String(controls.linking))
  linkHint.hidden = !controls.linking
}
addEventListener('pagehide', () => client.disconnect())

// For tests and the curious.
Object.assign(globalThis, { remoteRender: { client, controls } })

if (query.get('autoconnect') !== 'off') connect()
