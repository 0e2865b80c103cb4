/** The signaling socket: opened with credentials, kept alive, typed messages. */

import { RemoteRenderError } from './errors.js'
import { parse, type FromServer, type ToServer } from './protocol.js'

export interface SignalingOptions {
  url: string
  userId: string
  projectId: string
  /** The first message will be `resume`: the server is to allocate nothing before it. */
  resumes: boolean
  /** Join token; goes as a subprotocol, never in the URL. */
  token: string | null
  timeoutMs: number
  /** Aborted: whoever wanted the socket has left. */
  signal: AbortSignal
}

export interface SignalingHandlers {
  message(message: FromServer): void
  /** The socket is gone, not by `close`; `code` is the WebSocket's. */
  closed(code: number): void
}

export const PROTOCOL = 'remote-render.v1'

/** A socket on which nothing was heard between two pings is lost. */
export const PING_INTERVAL_MS = 10_000

/** The URL with `userId` and `projectId` added to its query. */
export function endpointUrl(
  base: string,
  userId: string,
  projectId: string,
  resumes = false,
): string {
  const url = new URL(base, globalThis.location?.href)
  if (url.protocol === 'http:') url.protocol = 'ws:'
  if (url.protocol === 'https:') url.protocol = 'wss:'
  url.searchParams.set('userId', userId)
  url.searchParams.set('projectId', projectId)
  if (resumes) url.searchParams.set('resume', '1')
  return url.toString()
}

/** Wait before the n-th reconnection (from 0): uniform in [0, min(cap, base * 2^n)]. */
export function fullJitter(attempt: number, random: () => number = Math.random): number {
  const baseMs = 250
  const capMs = 5_000
  return random() * Math.min(capMs, baseMs * 2 ** attempt)
}

/** Whether a WebSocket closed with this code says that coming back is useless. */
export function isFinal(code: number): boolean {
  return code === 1008 || (code >= 4000 && code < 4500)
}

const REPLACED = 4409

/** What a final close code means, where no message said more. */
export function closeText(code: number): string {
  return code === REPLACED
    ? 'the session goes on in another window'
    : 'the server has ended the session'
}

/** The join token; whatever goes wrong while the application gets one is a typed error. */
export async function ask(
  token: () => string | null | Promise<string | null>,
): Promise<string | null> {
  try {
    return await token()
  } catch (cause) {
    const text = 'no join token could be had'
    throw new RemoteRenderError(text, 'unauthorized', true, null, { cause })
  }
}

/** One open WebSocket. */
export class Signaling {
  private closedByUs = false
  private heard = true
  private pings: ReturnType<typeof setInterval> | null = null

  private constructor(
    private readonly socket: WebSocket,
    private readonly handlers: SignalingHandlers,
  ) {}

  /** Opens the socket; rejects with `signaling_unreachable` or `timeout`. */
  static open(options: SignalingOptions, handlers: SignalingHandlers): Promise<Signaling> {
    const { url, userId, projectId, resumes, token, signal } = options
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(new RemoteRenderError('disconnected', 'closed', false))
        return
      }
      let socket: WebSocket
      try {
        const endpoint = endpointUrl(url, userId, projectId, resumes)
        socket =
          token === null
            ? new WebSocket(endpoint)
            : new WebSocket(endpoint, [PROTOCOL, `token.${token}`])
      } catch {
        const text = `not a usable signaling URL: ${url}`
        reject(new RemoteRenderError(text, 'signaling_unreachable', false))
        return
      }
      const signaling = new Signaling(socket, handlers)
      let opened = false
      const leave = (): void => giveUp(new RemoteRenderError('disconnected', 'closed', false))
      const decided = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', leave)
      }
      const giveUp = (error: RemoteRenderError): void => {
        decided()
        signaling.close()
        reject(error)
      }
      const timer = setTimeout(
        () => giveUp(new RemoteRenderError('the signaling server did not answer', 'timeout')),
        options.timeoutMs,
      )
      signal.addEventListener('abort', leave)
      socket.onopen = () => {
        opened = true
        decided()
        signaling.keepAlive()
        resolve(signaling)
      }
      socket.onmessage = (event: MessageEvent<unknown>) => signaling.receive(event.data)
      socket.onclose = (event: CloseEvent) => {
        decided()
        if (opened) signaling.lost(event.code)
        else {
          const text = 'failed to connect to the signaling server'
          reject(new RemoteRenderError(text, 'signaling_unreachable'))
        }
      }
    })
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
    if (this.pings !== null) clearInterval(this.pings)
    this.pings = null
    this.socket.close()
  }

  private receive(data: unknown): void {
    if (this.closedByUs) return
    this.heard = true
    const message = parse<FromServer>(data)
    if (message === null) return
    if (message.type === 'ping') this.send({ type: 'pong', time: message.time ?? 0 })
    else this.handlers.message(message)
  }

  /** A browser notices a silent network after minutes; a ping without an answer does at once. */
  private keepAlive(): void {
    this.pings = setInterval(() => {
      if (!this.heard) this.lost(1006)
      else {
        this.heard = false
        this.send({ type: 'ping', time: Date.now() })
      }
    }, PING_INTERVAL_MS)
  }

  private lost(code: number): void {
    if (this.closedByUs) return
    this.close()
    this.handlers.closed(code)
  }
}
