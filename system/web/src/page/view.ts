/** Shows where the session stands: badge, cards over the picture, short messages. */

import type { ConnectionStatus } from '../config.js'
import type { RemoteRenderError } from '../errors.js'
import { byId } from './dom.js'

const LABELS: Record<ConnectionStatus, string> = {
  idle: 'Disconnected',
  connecting: 'Connecting',
  queued: 'Waiting',
  connected: 'Connected',
  reconnecting: 'Reconnecting',
  closed: 'Disconnected',
}

const TITLES: Partial<Record<RemoteRenderError['code'], string>> = {
  signaling_unreachable: 'The server cannot be reached',
  timeout: 'No picture',
  peer_failed: 'No picture',
  connect_timeout: 'No picture',
  closed: 'The session has ended',
  resume_refused: 'The session has ended',
  unsupported: 'This browser cannot show it',
  protocol_version: 'This page is out of date',
  unauthorized: 'Not allowed',
  forbidden: 'Not allowed',
  no_capacity: 'No worker is free',
  queue_full: 'Too many are waiting',
  unavailable: 'The service is not available',
  worker_lost: 'The worker was lost',
}

const TOAST_MS = 3_000

/** "about 12 s", "about 3 min". */
export function duration(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1000))
  return seconds < 90 ? `about ${seconds} s` : `about ${Math.round(seconds / 60)} min`
}

export class StatusView {
  private readonly badge = byId('badge', HTMLSpanElement)
  private readonly button = byId('connect', HTMLButtonElement)
  private readonly overlay = byId('overlay', HTMLDivElement)
  private readonly waiting = byId('waiting', HTMLElement)
  private readonly waitingTitle = byId('waiting-title', HTMLElement)
  private readonly waitingText = byId('waiting-text', HTMLElement)
  private readonly idle = byId('idle', HTMLElement)
  private readonly problem = byId('problem', HTMLElement)
  private readonly problemTitle = byId('problem-title', HTMLElement)
  private readonly problemText = byId('problem-text', HTMLElement)
  private readonly retry = byId('retry', HTMLButtonElement)
  private readonly notice = byId('notice', HTMLElement)
  private readonly toast = byId('toast', HTMLElement)
  private readonly clickMe = byId('blocked', HTMLElement)
  /** Read out by screen readers, which miss what is written while it is hidden. */
  private readonly live = byId('live', HTMLElement)
  private wantsClick = false
  private toastTimer: ReturnType<typeof setTimeout> | null = null

  /** `why` it is closed; null where the viewer has left. */
  status(status: ConnectionStatus, why: RemoteRenderError | null = null): void {
    this.badge.textContent = LABELS[status]
    this.badge.dataset['status'] = status
    const off = status === 'idle' || status === 'closed'
    const waits = status === 'connecting' || status === 'queued'
    if (off) this.wantsClick = false
    document.body.classList.toggle('live', !off && !waits)
    this.button.textContent = off ? 'Connect' : waits ? 'Cancel' : 'Disconnect'
    this.button.classList.toggle('primary', off)
    this.notice.hidden = status !== 'reconnecting'
    if (status === 'reconnecting') this.note('Reconnecting…')
    else if (status !== 'queued') this.live.textContent = LABELS[status]
    if (status === 'connecting') this.wait('Connecting', 'A render worker is being reached…')
    else if (!off && !waits) this.card(this.wantsClick ? this.clickMe : null)
    else if (off && why !== null) this.failed(why)
    else if (off) this.card(this.idle)
  }

  /** `again`: the session had a worker, and lost it. */
  queued(position: number, etaMs: number | null, again: boolean): void {
    const wait = etaMs === null ? '' : ` The wait is ${duration(etaMs)}.`
    if (again) this.wait('The worker was lost', `Another one is on its way.${wait}`)
    else {
      const place = position === 1 ? 'You are next' : `You are number ${position} in the queue`
      this.wait(place, `All workers are busy.${wait}`)
    }
  }

  replacing(): void {
    this.note('The worker was lost: another one takes over…')
  }

  /** Video comes, but the browser shows none before it was clicked. */
  blocked(): void {
    this.wantsClick = true
    this.card(this.clickMe)
    this.live.textContent = 'The browser waits for a click before it shows the picture.'
  }

  /** The video element plays. */
  plays(): void {
    this.wantsClick = false
    if (!this.clickMe.hidden) this.card(null)
  }

  /** Shown next to a picture that is there all the same. */
  say(text: string): void {
    if (this.toastTimer !== null) clearTimeout(this.toastTimer)
    this.toast.textContent = this.live.textContent = text
    this.toast.hidden = false
    this.toastTimer = setTimeout(() => {
      this.toast.hidden = true
    }, TOAST_MS)
  }

  private failed(error: RemoteRenderError): void {
    const title = TITLES[error.code] ?? 'Connection problem'
    const text = sentence(error.message)
    this.problemTitle.textContent = title
    this.problemText.textContent = text
    this.live.textContent = `${title}. ${text}`
    this.retry.hidden = error.code === 'unsupported'
    this.retry.textContent = error.code === 'protocol_version' ? 'Reload' : 'Retry'
    this.card(this.problem)
  }

  private note(text: string): void {
    this.notice.textContent = this.live.textContent = text
  }

  private wait(title: string, text: string): void {
    this.waitingTitle.textContent = title
    this.waitingText.textContent = text
    this.live.textContent = `${title}. ${text}`
    this.card(this.waiting)
  }

  /** Its button gets the focus, unless that is on something else already. */
  private card(shown: HTMLElement | null): void {
    for (const card of [this.waiting, this.idle, this.problem, this.clickMe]) {
      card.hidden = card !== shown
    }
    this.overlay.hidden = shown === null
    const { activeElement } = document
    const free = activeElement === null || activeElement === document.body
    if (free) shown?.querySelector<HTMLElement>('button:not([hidden])')?.focus()
  }
}

/** Begun with a capital and ended with a stop, as texts of the server are not. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')
}
