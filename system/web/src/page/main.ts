/**
 * The workspace page: one client, its controls and its panels.
 *
 * Query: projectId, userId, signaling (URL), codec=vp8, pacing=constant|on_demand, latency=on,
 * autoconnect=off. A join token goes behind the `#`, as `#token=…`: that part of an address is
 * sent to nobody, and it leaves the address bar at once.
 */

import { RemoteRenderClient } from '../client.js'
import { newId } from '../ids.js'
import { Controls } from './controls.js'
import { StripCover } from './cover.js'
import { byId } from './dom.js'
import { Keyboard } from './keyboard.js'
import { StatsPanel } from './panel.js'
import { StatusView, sentence } from './view.js'
import { Workspace } from './workspace.js'

const query = new URLSearchParams(location.search)
const video = byId('video', HTMLVideoElement)
const view = new StatusView()
const panel = new StatsPanel(byId('rows', HTMLElement), byId('stream', HTMLElement))

/** An id for this tab, so that a reload is the same viewer. */
function userId(): string {
  const key = 'remote-render-user'
  const fresh = `viewer-${newId().slice(0, 8)}`
  try {
    const kept = sessionStorage.getItem(key) ?? fresh
    sessionStorage.setItem(key, kept)
    return kept
  } catch {
    return fresh // storage is switched off
  }
}

/** The join token of the address, which forgets it. */
function takeToken(): string | null {
  const found = new URLSearchParams(location.hash.slice(1)).get('token') ?? query.get('token')
  if (found === null) return null
  query.delete('token')
  history.replaceState(null, '', `${location.pathname}?${query.toString()}`)
  return found
}

const user = query.get('userId') ?? userId()
const project = query.get('projectId') ?? 'demo'
const token = takeToken()
const pacing = query.get('pacing')
const client = new RemoteRenderClient({
  signalingServerUrl: query.get('signaling') ?? new URL('ws', location.href).toString(),
  videoElement: video,
  measureLatency: query.get('latency') === 'on',
  codec: query.get('codec') === 'vp8' ? 'vp8' : 'h264',
  ...(pacing === 'constant' || pacing === 'on_demand' ? { pacing } : {}),
  ...(token === null ? {} : { token }),
})
const workspace = new Workspace(client)
const controls = new Controls(video, workspace)
new Keyboard(video, byId('crosshair', HTMLElement), workspace, controls)

function connect(): void {
  client.connect(user, project).catch(() => undefined) // told by the event `error`
}

function toggleConnection(): void {
  if (client.status === 'idle' || client.status === 'closed') connect()
  else client.disconnect()
}

client.on('status', (status) => view.status(status, client.endedBy))
client.on('queued', ({ position, etaMs }) => view.queued(position, etaMs, client.connected))
client.on('workerReplaced', () => view.replacing())
client.on('stats', (stats) => panel.show(stats, client.workerId))
client.on('disconnected', () => panel.clear())
client.on('playBlocked', () => view.blocked())
client.on('editAcknowledged', ({ code }) => {
  if (code !== null) view.say('The server refused the change.')
})
client.on('error', (error) => {
  if (client.connected) view.say(sentence(error.message))
})

// --- the bar and the statistics ------------------------------------------------

byId('project', HTMLElement).textContent = project
document.title = `${project} · Remote Render`
byId('connect', HTMLButtonElement).addEventListener('click', toggleConnection)
byId('retry', HTMLButtonElement).addEventListener('click', () => {
  if (client.endedBy?.code === 'protocol_version') location.reload()
  else connect()
})
byId('reconnect', HTMLButtonElement).addEventListener('click', connect)
byId('play', HTMLButtonElement).addEventListener('click', () => void video.play())
video.addEventListener('playing', () => view.plays())

const statsBox = byId('stats', HTMLElement)
const statsButton = byId('toggle-stats', HTMLButtonElement)
statsButton.addEventListener('click', () => {
  statsBox.hidden = !statsBox.hidden
  statsButton.setAttribute('aria-pressed', String(!statsBox.hidden))
})
const measure = byId('measure', HTMLInputElement)
const cover = new StripCover(video, byId('cover', HTMLElement))
measure.checked = client.measuresLatency
cover.show(measure.checked)
measure.addEventListener('change', () => {
  client.measureLatency(measure.checked)
  cover.show(measure.checked)
})

// --- the selected device ---------------------------------------------------------

const selection = byId('selection', HTMLElement)
const moveButton = byId('move', HTMLButtonElement)
const linkButton = byId('link', HTMLButtonElement)
const linkType = byId('link-type', HTMLSelectElement)
const hint = byId('hint', HTMLElement)
const HINTS = {
  look: '',
  move: 'Drag it, or use the arrow keys. Esc ends.',
  link: 'Select the device to connect it to. Esc cancels.',
}

workspace.onChange = () => {
  const { selected, kind, position, mode } = workspace
  selection.hidden = selected === null
  byId('selected-name', HTMLElement).textContent = selected ?? ''
  const place = position === null ? '' : `at ${position[0].toFixed(2)} m, ${position[1].toFixed(2)} m`
  byId('selected-place', HTMLElement).textContent = [kind, place].filter(Boolean).join(' ')
  moveButton.setAttribute('aria-pressed', String(mode === 'move'))
  linkButton.setAttribute('aria-pressed', String(mode === 'link'))
  hint.textContent = HINTS[mode]
  hint.hidden = mode === 'look'
  video.classList.toggle('linking', mode === 'link')
  video.classList.toggle('moving', mode === 'move')
}
workspace.onLinked = (source, target, type) => view.say(`${source} → ${target} (${type})`)
moveButton.addEventListener('click', () => workspace.toggle('move'))
linkButton.addEventListener('click', () => workspace.toggle('link'))
linkType.addEventListener('change', () => {
  workspace.linkType = linkType.value
})

byId('guide', HTMLDetailsElement).open = matchMedia('(min-width: 64rem)').matches
// A page that the browser keeps for the button Back frees its worker, and joins again when shown.
let left = false
addEventListener('pagehide', () => {
  left = client.status !== 'idle' && client.status !== 'closed'
  client.disconnect()
})
addEventListener('pageshow', (event) => {
  if (event.persisted && left) connect()
})

// For tests and the curious.
Object.assign(globalThis, { remoteRender: { client, workspace } })

if (query.get('autoconnect') === 'off') view.status('idle')
else connect()
