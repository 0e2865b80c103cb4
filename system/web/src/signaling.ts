/** The signaling socket: one connection at a time, full-jitter reconnection, typed messages. */

import { RemoteRenderError } from './errors'
import { parse, type FromServer, type ToServer } from './protocol'

export interface SignalingOptions {
  url: string
  userId: string
  projectId: string
  /** Join token; goes as a subprotocol, never in the URL. */
  token?: string | undefined
  connectTimeoutMs: number
  webSocket?: typeof WebSocket | undefined
}

export interface SignalingHandlers {
  message(message: FromServer): void
  /** The socket is gone; `code` and `reason` are the WebSocket's. */
  closed(code: number, reason: string): void
}

export const PROTOCOL = 'remote-render.v1'

/** The URL with `userId` and `projectId` added to its query. */
export function endpointUrl(base: string, userId: string, projectId: string): string {
  const url = new URL(base, globalThis.location?.href)
  if (url.protocol === 'http:') url.protocol = 'ws:'
  if (url.protocol === 'https:') url.protocol = 'wss:'
  url.searchParams.set('userId', userId)
  url.searchParams.set('projectId', projectId)
  return url.toString()
}

/** Wait before the n-th reconnection (from 0): uniform in [0, min(cap, base * 2^n)]. */
export function fullJitter(attempt: number, random: () => number = Math.random): number {
  const baseMs = 250
  const capMs = 5_000
  return random() * Math.min(capMs, baseMs * 2 ** attempt)
}

/** One open WebSocket. */
export class Signaling {
  private closedByUs = false

  private constructor(
    private readonly socket: WebSocket,
    private readonly handlers: SignalingHandlers,
  ) {}

  /** Opens the socket; rejects with `signaling_unreachable` or `timeout`. */
  static open(options: SignalingOptions, handlers: SignalingHandlers): Promise<Signaling> {
    const Socket = options.webSocket ?? globalThis.WebSocket
    const protocols = options.token === undefined ? [] : [PROTOCOL, `token.${options.token}`]
    return new Promise((resolve, reject) => {
      let socket: WebSocket
      try {
        const url = endpointUrl(options.url, options.userId, options.projectId)
        socket = protocols.length > 0 ? new Socket(url, protocols) : new Socket(url)
      } catch {
        reject(
          new RemoteRenderError(
            `not a usable signaling URL: ${options.url}`,
            'signaling_unreachable',
            false,
          ),
        )
        return
      }
      const signaling = new Signaling(socket, handlers)
      let opened = false
      const timer = setTimeout(() => {
        signaling.close()
        reject(new RemoteRenderError('the signaling server did not answer in time', 'timeout'))
      }, options.connectTimeoutMs)
      socket.onopen = () => {
        opened = true
        clearTimeout(timer)
        resolve(signaling)
      }
      socket.onmessage = (event: MessageEvent<unknown>) => {
        const message = parse<FromServer>(event.data)
        if (message !== null && !signaling.closedByUs) signaling.receive(message)
      }
      socket.onclose = (event: CloseEvent) => {
        clearTimeout(timer)
        if (!opened) {
          reject(
            new RemoteRenderError(
              'failed to connect to the signaling server',
              'signaling_unreachable',
            ),
          )
        } else if (!signaling.closedByUs) {
          handlers.closed(event.code, event.reason)
        }
      }
    })
  }

  private receive(message: FromServer): void {
    if (message.type === 'ping') this.send({ type: 'pong', time: message.time ?? 0 })
    else this.handlers.message(message)
  }

  /** Sends if the socket is open; says whether it was. */
  send(message: ToServer): boolean {
    if (this.socket.readyState !== 1) return false
    this.socket.send(JSON.stringify(message))
    return true
  }

  /** Closes the socket; no handler is called any more. */
  close(): void {
    this.closedByUs = true
    this.socket.close()
  }
}
