/**
 * A remote-rendering session in the browser.
 *
 *     connect -> [queued]* -> session-created -> offer -> answer -> media
 *     signaling lost   -> media goes on, the session is resumed
 *     worker replaced  -> a fresh peer connection, the next negotiation
 */

import { RemoteRenderError } from './errors'
import { Emitter } from './events'
import { LatencyProbe } from './latency'
import { parse, type FromServer, type FromWorker } from './protocol'
import { Signaling, fullJitter } from './signaling'
import { StatsMeter, type RTCStats, type StreamStats } from './stats'

export type { RTCStats } from './stats'

export interface RemoteRenderConfig {
  signalingServerUrl: string
  /** Added to the servers that the signaling server names; none by default. */
  stunServers?: string[]
  turnServers?: Array<{ urls: string; username?: string; credential?: string }>
  videoElement: HTMLVideoElement
  onConnected?: () => void
  onDisconnected?: () => void
  onError?: (error: Error) => void
  onStats?: (stats: RTCStats) => void
  /** Waiting for a worker: position from 1, and the expected wait where it is known. */
  onQueued?: (position: number, etaMs: number | null) => void
  onSelected?: (deviceId: string | null) => void
  /** Join token; never put in the URL. */
  token?: string
  /** From the assigned worker to the first frame. Default 15 s. */
  connectTimeoutMs?: number
  /** Read the block code of each frame and match it with the acknowledgements. */
  measureLatency?: boolean
  /** `h264` (default) prefers H.264 where the browser has it. */
  preferCodec?: 'h264' | 'vp8'
  pacing?: 'on_demand' | 'constant'
}

export interface InputCommand {
  type: string
  timestamp: number
  data: unknown
}

export type ConnectionStatus =
  | 'idle'
  | 'connecting'
  | 'queued'
  | 'connected'
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
  state: { revision: number; state: Record<string, unknown> }
  editAcknowledged: { editId: string; code: string | null }
  workerReplaced: { workerId: string }
}

interface Pending {
  resolve: () => void
  reject: (error: RemoteRenderError) => void
}

interface Peer {
  connection: RTCPeerConnection
  negotiation: number
  input: RTCDataChannel
  edit: RTCDataChannel
  remoteSet: boolean
  early: Array<RTCIceCandidateInit | null>
}

const RESUME_WINDOW_MS = 120_000
const STATS_INTERVAL_MS = 1_000

export class RemoteRenderClient extends Emitter<ClientEvents> {
  private readonly config: RemoteRenderConfig
  private signaling: Signaling | null = null
  private peer: Peer | null = null
  private pending: Pending | null = null
  private timer: ReturnType<typeof setTimeout> | null = null
  private statsTimer: ReturnType<typeof setInterval> | null = null
  private resumeTimer: ReturnType<typeof setTimeout> | null = null
  private readonly meter = new StatsMeter()
  private readonly latency: LatencyProbe | null
  private iceServers: RTCIceServer[] = []
  private resumeToken: string | null = null
  private unacknowledged = new Map<string, string>()
  private identity: { userId: string; projectId: string } | null = null
  private seq = 0
  private everConnected = false
  private generation = 0
  private current: ConnectionStatus = 'idle'

  sessionId: string | null = null
  workerId: string | null = null

  constructor(config: RemoteRenderConfig) {
    super()
    this.config = config
    this.latency = config.measureLatency === true ? new LatencyProbe(config.videoElement) : null
  }

  get status(): ConnectionStatus {
    return this.current
  }

  get connected(): boolean {
    return this.current === 'connected' || this.current === 'reconnecting'
  }

  /**
   * Joins; resolves when the first frame is there.
   *
   * Rejects with a RemoteRenderError: signaling unreachable, refused, no
   * capacity, timeout (from the assigned worker on; waiting in the queue does
   * not count), or the peer connection failed.
   */
  async connect(userId: string, projectId: string): Promise<void> {
    if (this.current !== 'idle' && this.current !== 'closed') {
      throw new RemoteRenderError('this client is connecting or connected', 'not_ready', false)
    }
    const Peer = globalThis.RTCPeerConnection as typeof RTCPeerConnection | undefined
    if (Peer === undefined) {
      throw this.report(
        new RemoteRenderError('this browser has no WebRTC', 'unsupported', false),
      )
    }
    this.identity = { userId, projectId }
    this.everConnected = false
    const generation = ++this.generation
    this.setStatus('connecting')
    const firstFrame = new Promise<void>((resolve, reject) => {
      this.pending = { resolve, reject }
    })
    firstFrame.catch(() => undefined)
    try {
      await this.openSignaling(generation)
      await firstFrame
    } catch (error) {
      const typed =
        error instanceof RemoteRenderError
          ? error
          : new RemoteRenderError('connecting failed', 'internal')
      if (generation === this.generation) this.finish(false)
      throw this.report(typed)
    }
  }

  /** Leaves; releases the worker at once. Safe to call at any time, more than once. */
  disconnect(): void {
    this.signaling?.send({ type: 'bye' })
    this.pending?.reject(new RemoteRenderError('disconnected', 'closed', false))
    this.finish(true)
  }

  sendCameraOrbit(deltaX: number, deltaY: number): void {
    this.sendInput('camera:orbit', { deltaX, deltaY })
  }

  sendCameraZoom(delta: number): void {
    this.sendInput('camera:zoom', { delta })
  }

  /** An empty `deviceId` lets the worker pick at the point, in pixels of the picture. */
  sendDeviceClick(deviceId: string, screenX: number, screenY: number): void {
    const { videoWidth, videoHeight } = this.config.videoElement
    const view = videoWidth > 0 ? { width: videoWidth, height: videoHeight } : {}
    this.sendInput('device:click', { deviceId, screenX, screenY, ...view })
  }

  /** `end` marks the last position of a drag, which is kept in the project. */
  sendDeviceDrag(deviceId: string, position: [number, number, number], end = false): void {
    const data = { deviceId, position, end }
    if (end) this.sendEdit('device:drag', data)
    else this.sendInput('device:drag', data)
  }

  sendConnectionCreate(sourceDeviceId: string, targetDeviceId: string, type: string): void {
    this.sendEdit('connection:create', { sourceDeviceId, targetDeviceId, type })
  }

  /** Asks for the scene's state; it comes as the event `state`. */
  requestState(): void {
    this.sendOn(this.peer?.edit, JSON.stringify({ type: 'state:get' }))
  }

  // --- signaling -------------------------------------------------------------

  private async openSignaling(generation: number): Promise<void> {
    const identity = this.identity
    if (identity === null) throw new RemoteRenderError('no identity', 'not_ready', false)
    const signaling = await Signaling.open(
      {
        url: this.config.signalingServerUrl,
        userId: identity.userId,
        projectId: identity.projectId,
        token: this.config.token,
        connectTimeoutMs: this.config.connectTimeoutMs ?? 15_000,
      },
      {
        message: (message) => {
          if (generation === this.generation) void this.receive(message)
        },
        closed: () => {
          if (generation === this.generation) this.signalingLost(generation)
        },
      },
    )
    if (generation !== this.generation) {
      signaling.close()
      throw new RemoteRenderError('disconnected', 'closed', false)
    }
    this.signaling = signaling
    if (this.resumeToken !== null && this.sessionId !== null) {
      signaling.send({ type: 'resume', resumeToken: this.resumeToken })
    }
  }

  private async receive(message: FromServer): Promise<void> {
    try {
      switch (message.type) {
        case 'queued':
          this.setStatus('queued')
          this.emit('queued', { position: message.position, etaMs: message.etaMs ?? null })
          this.config.onQueued?.(message.position, message.etaMs ?? null)
          break
        case 'session-created':
          this.sessionId = message.sessionId
          this.workerId = message.workerId
          this.iceServers = message.iceServers ?? []
          this.resumeToken = message.resumeToken || null
          this.setStatus('connecting')
          await this.negotiate(1)
          break
        case 'session-resumed':
          this.resumeToken = message.resumeToken
          this.workerId = message.workerId
          this.setStatus('connected')
          break
        case 'worker-replaced':
          this.workerId = message.workerId
          this.emit('workerReplaced', { workerId: message.workerId })
          await this.negotiate(message.negotiation)
          break
        case 'answer':
          await this.answered(message.sdp, message.negotiation ?? 1)
          break
        case 'ice-candidate':
          await this.candidate(message.candidate, message.negotiation ?? 1)
          break
        case 'session-ended':
          this.fail(
            new RemoteRenderError(`the session has ended: ${message.reason ?? ''}`, 'closed'),
            this.pending !== null,
          )
          break
        case 'error':
          this.refused(message)
          break
        case 'ping':
        case 'pong':
          break
      }
    } catch {
      this.fail(new RemoteRenderError('the peer connection failed', 'peer_failed'), true)
    }
  }

  private refused(message: Extract<FromServer, { type: 'error' }>): void {
    const error = new RemoteRenderError(
      message.error,
      message.code ?? 'internal',
      message.retryable ?? false,
      message.retryAfterMs ?? null,
    )
    if (error.code === 'resume_refused') {
      this.fail(error, true)
    } else if (this.pending !== null) {
      this.pending.reject(error)
      this.pending = null
    } else {
      this.report(error)
    }
  }

  private signalingLost(generation: number): void {
    this.signaling = null
    if (this.pending !== null || this.resumeToken === null) {
      this.fail(new RemoteRenderError('the signaling connection was closed', 'closed'), true)
      return
    }
    this.setStatus('reconnecting')
    const deadline = Date.now() + RESUME_WINDOW_MS
    const attempt = (n: number): void => {
      this.resumeTimer = setTimeout(() => {
        if (generation !== this.generation) return
        this.openSignaling(generation).catch((error: unknown) => {
          if (generation !== this.generation) return
          if (Date.now() < deadline) attempt(n + 1)
          else
            this.fail(
              error instanceof RemoteRenderError
                ? error
                : new RemoteRenderError('could not resume', 'signaling_unreachable'),
              true,
            )
        })
      }, fullJitter(n))
    }
    attempt(0)
  }

  // --- peer connection -------------------------------------------------------

  private async negotiate(negotiation: number): Promise<void> {
    this.closePeer()
    const connection = new RTCPeerConnection({
      iceServers: [
        ...this.iceServers,
        ...(this.config.stunServers ?? []).map((urls) => ({ urls })),
        ...(this.config.turnServers ?? []),
      ],
      bundlePolicy: 'max-bundle',
      rtcpMuxPolicy: 'require',
    })
    const peer: Peer = {
      connection,
      negotiation,
      input: connection.createDataChannel('input', { ordered: false, maxRetransmits: 0 }),
      edit: connection.createDataChannel('edit'),
      remoteSet: false,
      early: [],
    }
    this.peer = peer
    this.meter.reset()
    for (const channel of [peer.input, peer.edit]) {
      channel.onmessage = (event: MessageEvent<unknown>) => {
        if (peer === this.peer) this.fromWorker(event.data)
      }
    }
    peer.edit.onopen = () => {
      if (peer === this.peer) for (const text of this.unacknowledged.values()) peer.edit.send(text)
    }
    const transceiver = connection.addTransceiver('video', { direction: 'recvonly' })
    preferCodec(transceiver, this.config.preferCodec ?? 'h264')
    connection.ontrack = (event) => {
      if (peer === this.peer && event.track.kind === 'video') this.showTrack(peer, event)
    }
    connection.onicecandidate = (event) => {
      if (peer !== this.peer) return
      this.signaling?.send({
        type: 'ice-candidate',
        candidate: event.candidate === null ? null : event.candidate.toJSON(),
        negotiation,
      })
    }
    connection.onconnectionstatechange = () => {
      if (peer === this.peer) this.connectionChanged(connection.connectionState)
    }
    this.armTimeout()
    const offer = await connection.createOffer()
    await connection.setLocalDescription(offer)
    if (peer !== this.peer) return
    this.signaling?.send({
      type: 'offer',
      sdp: { type: 'offer', sdp: offer.sdp ?? '' },
      negotiation,
      stream: {
        blockCode: this.latency !== null,
        ...(this.config.pacing === undefined ? {} : { pacing: this.config.pacing }),
      },
    })
  }

  private async answered(sdp: RTCSessionDescriptionInit, negotiation: number): Promise<void> {
    const peer = this.peer
    if (peer === null || negotiation !== peer.negotiation || peer.remoteSet) return
    await peer.connection.setRemoteDescription(sdp)
    peer.remoteSet = true
    for (const candidate of peer.early.splice(0)) await addCandidate(peer.connection, candidate)
  }

  private async candidate(
    candidate: RTCIceCandidateInit | null,
    negotiation: number,
  ): Promise<void> {
    const peer = this.peer
    if (peer === null || negotiation !== peer.negotiation) return
    if (peer.remoteSet) await addCandidate(peer.connection, candidate)
    else if (peer.early.length < 64) peer.early.push(candidate)
  }

  private showTrack(peer: Peer, event: RTCTrackEvent): void {
    const video = this.config.videoElement
    video.srcObject = event.streams[0] ?? new MediaStream([event.track])
    video.play().catch(() => undefined) // the page may have to be clicked first
    this.latency?.start()
    const first = (): void => {
      if (peer === this.peer) this.mediaFlows()
    }
    if ('requestVideoFrameCallback' in video) video.requestVideoFrameCallback(first)
    else (video as HTMLVideoElement).addEventListener('loadeddata', first, { once: true })
  }

  private mediaFlows(): void {
    this.clearTimer()
    this.setStatus('connected')
    this.everConnected = true
    this.startStats()
    const pending = this.pending
    this.pending = null
    if (pending === null) return
    pending.resolve()
    this.emit('connected', undefined)
    this.config.onConnected?.()
  }

  private connectionChanged(state: RTCPeerConnectionState): void {
    if (state === 'failed') {
      const next = (this.peer?.negotiation ?? 0) + 1
      // The server has no ICE restart: a fresh connection on the same session.
      if (this.everConnected && this.signaling !== null && next < 5) void this.negotiate(next)
      else this.fail(new RemoteRenderError('the peer connection failed', 'peer_failed'), true)
    } else if (state === 'closed') {
      this.fail(new RemoteRenderError('the peer connection was closed', 'closed'), true)
    }
  }

  private armTimeout(): void {
    this.clearTimer()
    this.timer = setTimeout(() => {
      this.fail(new RemoteRenderError('no picture arrived in time', 'timeout'), true)
    }, this.config.connectTimeoutMs ?? 15_000)
  }

  private clearTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }

  // --- data channels ---------------------------------------------------------

  private sendInput(type: string, data: unknown): void {
    const seq = ++this.seq
    const command = { type, timestamp: Date.now(), data, seq }
    if (this.sendOn(this.peer?.input, JSON.stringify(command))) this.latency?.sent(seq)
  }

  /** Edits must not be lost: kept until acknowledged, and sent again on a fresh connection. */
  private sendEdit(type: string, data: unknown): void {
    const editId = crypto.randomUUID()
    const seq = ++this.seq
    const text = JSON.stringify({ type, timestamp: Date.now(), data, seq, editId })
    this.unacknowledged.set(editId, text)
    if (this.sendOn(this.peer?.edit, text)) this.latency?.sent(seq)
  }

  private sendOn(channel: RTCDataChannel | undefined, text: string): boolean {
    if (channel === undefined || channel.readyState !== 'open') return false
    channel.send(text)
    return true
  }

  private fromWorker(data: unknown): void {
    const message = parse<FromWorker>(data)
    if (message === null) return
    switch (message.type) {
      case 'input:ack':
        this.latency?.acknowledged(message.frameId, message.seqs)
        break
      case 'device:selected':
        this.emit('selected', message.deviceId)
        this.config.onSelected?.(message.deviceId)
        break
      case 'state':
        this.emit('state', { revision: message.revision, state: message.state })
        break
      case 'edit:ack':
        this.unacknowledged.delete(message.editId)
        this.emit('editAcknowledged', { editId: message.editId, code: message.code ?? null })
        break
      case 'pong':
        break
    }
  }

  // --- statistics and the end ------------------------------------------------

  private startStats(): void {
    if (this.statsTimer !== null) return
    this.statsTimer = setInterval(() => void this.collectStats(), STATS_INTERVAL_MS)
  }

  private async collectStats(): Promise<void> {
    const peer = this.peer
    if (peer === null || !this.connected) return
    const report = await peer.connection.getStats()
    if (peer !== this.peer) return
    const stats = this.meter.measure(report, this.latency?.take() ?? null)
    this.emit('stats', stats)
    this.config.onStats?.(stats)
  }

  private setStatus(status: ConnectionStatus): void {
    if (status === this.current) return
    this.current = status
    this.emit('status', status)
  }

  private report(error: RemoteRenderError): RemoteRenderError {
    this.emit('error', error)
    this.config.onError?.(error)
    return error
  }

  /** Ends the session; `tell` reports the error, unless connect() rejects with it. */
  private fail(error: RemoteRenderError, tell: boolean): void {
    const pending = this.pending
    this.pending = null
    if (pending !== null) {
      pending.reject(error)
      return
    }
    this.finish(false)
    if (tell) this.report(error)
  }

  private finish(byUser: boolean): void {
    this.generation++
    const wasConnected = this.everConnected
    this.everConnected = false
    this.pending = null
    this.clearTimer()
    if (this.statsTimer !== null) clearInterval(this.statsTimer)
    if (this.resumeTimer !== null) clearTimeout(this.resumeTimer)
    this.statsTimer = null
    this.resumeTimer = null
    this.closePeer()
    this.latency?.stop()
    this.signaling?.close()
    this.signaling = null
    this.resumeToken = null
    this.sessionId = null
    this.workerId = null
    if (byUser) this.unacknowledged.clear()
    this.config.videoElement.srcObject = null
    if (this.current === 'idle') return
    this.setStatus('closed')
    if (!wasConnected) return
    this.emit('disconnected', undefined)
    this.config.onDisconnected?.()
  }

  private closePeer(): void {
    const peer = this.peer
    this.peer = null
    if (peer === null) return
    peer.input.onmessage = null
    peer.edit.onmessage = null
    peer.connection.ontrack = null
    peer.connection.onicecandidate = null
    peer.connection.onconnectionstatechange = null
    peer.connection.close()
  }
}

async function addCandidate(
  connection: RTCPeerConnection,
  candidate: RTCIceCandidateInit | null,
): Promise<void> {
  if (candidate === null || !candidate.candidate) return
  await connection.addIceCandidate(candidate)
}

/** Puts the wanted codec first; leaves the order alone where the browser lacks it. */
function preferCodec(transceiver: RTCRtpTransceiver, codec: 'h264' | 'vp8'): void {
  const all = RTCRtpReceiver.getCapabilities?.('video')?.codecs ?? []
  const wanted = all.filter((c) => c.mimeType.toLowerCase() === `video/${codec}`)
  if (wanted.length === 0) return
  const rest = all.filter((c) => !wanted.includes(c))
  transceiver.setCodecPreferences([...wanted, ...rest])
}
