/** Shows where the session stands: badge, cards over the picture, short messages. */

import type { ConnectionStatus } from '../config'
import type { RemoteRenderError } from '../errors'
import { byId } from './dom'

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
  unsupported: 'This browser cannot show it',
  unauthorized: 'Not allowed',
  forbidden: 'Not allowed',
  no_capacity: 'No worker is free',
  queue_full: 'Too many are waiting',
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
  private toastTimer: ReturnType<typeof setTimeout> | null = null

  status(status: ConnectionStatus): void {
    this.badge.textContent = LABELS[status]
    this.badge.dataset['status'] = status
    const off = status === 'idle' || status === 'closed'
    this.button.textContent = off ? 'Connect' : 'Disconnect'
    this.button.classList.toggle('primary', off)
    this.notice.hidden = status !== 'reconnecting'
    if (status === 'reconnecting') this.notice.textContent = 'Reconnecting…'
    if (status === 'connecting') this.wait('Connecting', 'A render worker is being reached…')
    else if (status === 'connected' || status === 'reconnecting') this.card(null)
    else if (off) this.card(this.idle)
  }

  /** `again`: the session had a worker, and lost it. */
  queued(position: number, etaMs: number | null, again: boolean): void {
    const eta = etaMs === null ? '' : `: ${duration(etaMs)}`
    if (again) this.wait('The worker was lost', `Another one is on its way${eta}.`)
    else {
      const place = position === 1 ? 'You are next' : `You are number ${position} in the queue`
      this.wait(place, `All workers are busy${eta}.`)
    }
  }

  replacing(): void {
    this.notice.textContent = 'The worker was lost: another one takes over…'
  }

  failed(error: RemoteRenderError): void {
    this.problemTitle.textContent = TITLES[error.code] ?? 'Connection problem'
    this.problemText.textContent = sentence(error.message)
    this.retry.hidden = error.code === 'unsupported'
    this.card(this.problem)
  }

  say(text: string): void {
    if (this.toastTimer !== null) clearTimeout(this.toastTimer)
    this.toast.textContent = text
    this.toast.hidden = false
    this.toastTimer = setTimeout(() => {
      this.toast.hidden = true
    }, TOAST_MS)
  }

  private wait(title: string, text: string): void {
    this.waitingTitle.textContent = title
    this.waitingText.textContent = text
    this.card(this.waiting)
  }

  private card(shown: HTMLElement | null): void {
    for (const card of [this.waiting, this.idle, this.problem]) card.hidden = card !== shown
    this.overlay.hidden = shown === null
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')
}
