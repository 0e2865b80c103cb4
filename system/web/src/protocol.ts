/** Messages on the wire, as the signaling server and the worker speak them. */

import type { RemoteRenderErrorCode } from './errors.js'

/** The version that this client speaks; a server that names none speaks it. */
export const PROTOCOL_VERSION = 1

export interface StreamOptions {
  blockCode?: boolean
  pacing?: 'on_demand' | 'constant'
}

export type ToServer =
  | { type: 'offer'; sdp: RTCSessionDescriptionInit; negotiation: number; stream?: StreamOptions }
  | { type: 'ice-candidate'; candidate: RTCIceCandidateInit | null; negotiation: number }
  | { type: 'resume'; resumeToken: string }
  | { type: 'ping'; time: number }
  | { type: 'pong'; time: number }
  | { type: 'bye' }

export type FromServer =
  | { type: 'queued'; position: number; etaMs?: number | null }
  | {
      type: 'session-created'
      sessionId: string
      workerId: string
      endpoint: string
      iceServers?: RTCIceServer[]
      resumeToken?: string
      protocolVersion?: number
    }
  | {
      type: 'session-resumed'
      sessionId: string
      /** Empty while the session waits for another worker. */
      workerId: string
      resumeToken: string
      iceServers?: RTCIceServer[]
    }
  | {
      type: 'worker-replaced'
      sessionId: string
      workerId: string
      negotiation: number
      iceServers?: RTCIceServer[]
    }
  | { type: 'session-ended'; reason?: string }
  | { type: 'answer'; sdp: RTCSessionDescriptionInit; negotiation?: number }
  | { type: 'ice-candidate'; candidate: RTCIceCandidateInit | null; negotiation?: number }
  | { type: 'ping'; time?: number }
  | { type: 'pong'; time?: number }
  | {
      type: 'error'
      error: string
      code?: RemoteRenderErrorCode
      retryable?: boolean
      retryAfterMs?: number | null
    }

/** What the worker says on the data channels. */
export type FromWorker =
  | { type: 'input:ack'; frameId: number; seqs: number[] }
  | { type: 'device:selected'; deviceId: string | null; seq?: number | null }
  | { type: 'state'; revision: number; state: Record<string, unknown> }
  | { type: 'edit:ack'; editId: string; index?: number; code?: string | null }
  | { type: 'pong'; time?: number }

/** The object in a text frame that has a text `type`, else null. */
export function parse<T extends { type: string }>(text: unknown): T | null {
  if (typeof text !== 'string') return null
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  return typeof (value as { type?: unknown }).type === 'string' ? (value as T) : null
}
