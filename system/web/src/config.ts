/** What an application gives to a client and hears from it. */

import type { RemoteRenderError } from './errors.js'
import type { Emitter } from './events.js'
import type { RTCStats, StreamStats } from './stats.js'

export interface RemoteRenderConfig {
  signalingServerUrl: string
  /** Added to the servers that the signaling server names; none by default. */
  stunServers?: string[]
  turnServers?: Array<{ urls: string; username?: string; credential?: string }>
  videoElement: HTMLVideoElement
  onConnected?: () => void
  onDisconnected?: () => void
  onError?: (error: Error) => void
  /** Each second while connected. */
  onStats?: (stats: RTCStats) => void
  /** Waiting for a worker: position from 1, and the expected wait where it is known. */
  onQueued?: (position: number, etaMs: number | null) => void
  onSelected?: (deviceId: string | null) => void
  /** The video is there, but the browser shows it only after a click, whose handler is to call
   * `videoElement.play()`. */
  onPlayBlocked?: () => void
  /**
   * Join token, or where to get one; never put in the URL. Join tokens are short-lived,
   * so that a function is asked again whenever a socket is opened; null for none.
   */
  token?: string | (() => string | null | Promise<string | null>)
  /** From the assigned worker to the first frame. Default 15 s. */
  connectTimeoutMs?: number
  /** Have the worker draw each frame's id into the picture and time inputs by it. */
  measureLatency?: boolean
  /** `h264` (default) is put first in the offer where the browser has it; `vp8` leaves it out. */
  codec?: 'h264' | 'vp8'
  pacing?: 'on_demand' | 'constant'
}

/** An input as it goes over the data channel. */
export interface InputCommand {
  type: string
  timestamp: number
  data: unknown
  /** Counts up; acknowledged with the first frame that shows the input. */
  seq?: number
  /** Of an edit: repeating it is harmless. */
  editId?: string
}

export type ConnectionStatus =
  | 'idle'
  | 'connecting'
  | 'queued'
  | 'connected'
  /** Connected, but the signaling socket or the picture is being replaced. */
  | 'reconnecting'
  | 'closed'

export interface ClientEvents {
  status: ConnectionStatus
  queued: { position: number; etaMs: number | null }
  connected: void
  disconnected: void
  error: RemoteRenderError
  stats: StreamStats
  selected: string | null
  playBlocked: void
  state: { revision: number; state: Record<string, unknown> }
  /** `code` is null where the edit is in the project's log, else why it was refused. */
  editAcknowledged: { editId: string; code: string | null }
  sessionResumed: { workerId: string }
  workerReplaced: { workerId: string }
}

/** Has the callbacks of a configuration called. */
export function listenAs(config: RemoteRenderConfig, client: Emitter<ClientEvents>): void {
  const { onConnected, onDisconnected, onError, onStats, onQueued, onSelected, onPlayBlocked } = config
  if (onConnected !== undefined) client.on('connected', onConnected)
  if (onDisconnected !== undefined) client.on('disconnected', onDisconnected)
  if (onError !== undefined) client.on('error', onError)
  if (onStats !== undefined) client.on('stats', onStats)
  if (onQueued !== undefined) client.on('queued', (at) => onQueued(at.position, at.etaMs))
  if (onSelected !== undefined) client.on('selected', onSelected)
  if (onPlayBlocked !== undefined) client.on('playBlocked', onPlayBlocked)
}
