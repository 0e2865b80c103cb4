/**
 * A remote-rendering session in the browser.
 *
 *     connect -> [queued]* -> session-created -> offer -> answer -> media
 *     signaling lost   -> media goes on, the session is resumed
 *     worker replaced  -> a fresh peer connection, the next negotiation
 *
 * What the page shows keeps showing while anything of this is replaced.
 */

import { listenAs, type ClientEvents, type ConnectionStatus, type RemoteRenderConfig } from './config.js'
import { RemoteRenderError } from './errors.js'
import { Emitter } from './events.js'
import { Inputs } from './inputs.js'
import type { LatencySample } from './latency.js'
import { CONNECT_TIMEOUT_MS, Media } from './media.js'
import { PROTOCOL_VERSION, type FromServer, type FromWorker } from './protocol.js'
import { Resumption } from './resumption.js'
import { Signaling, ask, closeText, isFinal } from './signaling.js'
import { Timer } from './timer.js'
import { pictureOf, pointIn } from './videobox.js'

interface Pending {
  resolve: () => void
  reject: (error: RemoteRenderError) => void
}

export class RemoteRenderClient extends Emitter<ClientEvents> {
  private readonly config: RemoteRenderConfig
  private readonly media: Media
  private readonly inputs: Inputs
  private readonly resumption = new Resumption()
  private signaling: Signaling | null = null
  private identity = { userId: '', projectId: '' }
  private pending: Pending | null = null
  private readonly joinTimer = new Timer()
  /** Aborted when the session is over: what still arrives of it is ignored. */
  private leaving = new AbortController()
  private lastError: RemoteRenderError | null = null
  private everConnected = false
  private openings = 0
  private current: ConnectionStatus = 'idle'

  sessionId: string | null = null
  workerId: string | null = null
  /** Why the last session, or the attempt at one, ended; null where this side left. */
  endedBy: RemoteRenderError | null = null

  constructor(config: RemoteRenderConfig) {
    super()
    this.config = config
    this.media = new Media(config, {
      send: (message) => this.signaling?.send(message) ?? false,
      flows: () => this.mediaFlows(),
      changed: () => this.refreshStatus(),
      stats: (stats) => this.emit('stats', stats),
      message: (message) => this.fromWorker(message),
      editOpen: () => this.inputs.resend(),
      blocked: () => this.emit('playBlocked', undefined),
      failed: (error) => this.fail(error),
    })
    this.inputs = new Inputs(this.media)
    listenAs(config, this)
  }

  get status(): ConnectionStatus {
    return this.current
  }

  /** From the first frame to the end, whatever is being replaced meanwhile. */
  get connected(): boolean {
    return this.everConnected
  }

  /** The peer connection in use, for its own statistics. */
  get peerConnection(): RTCPeerConnection | null {
    return this.media.connection
  }

  /** The latest input-to-frame samples; empty where they are not measured. */
  get latencySamples(): readonly LatencySample[] {
    return this.media.samples
  }

  get measuresLatency(): boolean {
    return this.media.measuresLatency
  }

  /**
   * Starts or stops timing inputs. The frame ids are drawn by the worker and asked for in
   * the offer, so that this replaces a peer connection that is up.
   */
  measureLatency(on: boolean): void {
    this.media.measureLatency(on)
  }

  /**
   * Joins; resolves when the first frame is there.
   *
   * Rejects with a RemoteRenderError: signaling unreachable, refused, no
   * capacity, timeout (waiting in the queue does not count), or the peer
   * connection failed.
   */
  async connect(userId: string, projectId: string): Promise<void> {
    if (this.current !== 'idle' && this.current !== 'closed') {
      throw new RemoteRenderError('this client is connecting or connected', 'not_ready', false)
    }
    const { signal } = this.leaving
    if (projectId !== this.identity.projectId) this.inputs.forget()
    this.identity = { userId, projectId }
    this.endedBy = null
    this.setStatus('connecting')
    try {
      if ((globalThis.RTCPeerConnection as typeof RTCPeerConnection | undefined) === undefined) {
        throw new RemoteRenderError('this browser has no WebRTC', 'unsupported', false)
      }
      await new Promise<void>((resolve, reject) => {
        this.pending = { resolve, reject }
        this.joinTimer.start(this.config.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, () => {
          const text = 'the signaling server assigned no worker in time'
          reject(new RemoteRenderError(text, 'timeout'))
        })
        this.openSignaling().catch(reject)
      })
    } catch (error) {
      const typed = RemoteRenderError.of(error)
      if (!signal.aborted) {
        this.finish(typed)
        this.emit('error', typed)
      }
      throw typed
    }
  }

  /** Leaves; releases the worker at once. Safe to call at any time, more than once. */
  disconnect(): void {
    this.signaling?.send({ type: 'bye' })
    this.pending?.reject(new RemoteRenderError('disconnected', 'closed', false))
    this.inputs.forget()
    this.finish(null)
  }

  sendCameraOrbit(deltaX: number, deltaY: number): void {
    this.inputs.input('camera:orbit', { deltaX, deltaY })
  }

  sendCameraZoom(delta: number): void {
    this.inputs.input('camera:zoom', { delta })
  }

  /**
   * Selects a device. Without a `deviceId` the worker picks what is drawn at the point, in
   * CSS pixels from the video element's corner, whatever its size and `object-fit`; nothing
   * is sent for one beside the picture.
   */
  sendDeviceClick(deviceId: string, screenX: number, screenY: number): void {
    const { videoElement } = this.config
    const pixel = pointIn(videoElement, screenX, screenY)
    if (pixel === null && deviceId === '') return
    const { x, y } = pixel ?? { x: 0, y: 0 }
    const view = pictureOf(videoElement)
    this.inputs.input('device:click', { deviceId, screenX: x, screenY: y, ...view })
  }

  /**
   * Moves a device, in metres. `end` true marks the last position of a drag, which the project
   * keeps; false says that one will come. Not said, the drag is over once 200 ms were quiet.
   */
  sendDeviceDrag(deviceId: string, position: [number, number, number], end?: boolean): void {
    const data = { deviceId, position, end }
    if (end === true) this.edit('device:drag', data)
    else this.inputs.input('device:drag', data)
  }

  sendConnectionCreate(sourceDeviceId: string, targetDeviceId: string, type: string): void {
    this.edit('connection:create', { sourceDeviceId, targetDeviceId, type })
  }

  /** Asks for the scene's state; it comes as the event `state`. */
  requestState(): void {
    this.media.sendEdit(JSON.stringify({ type: 'state:get' }))
  }

  // --- signaling -------------------------------------------------------------

  private async openSignaling(): Promise<void> {
    const { token, signalingServerUrl, connectTimeoutMs } = this.config
    const { signal } = this.leaving
    const opening = ++this.openings
    const resumeToken = this.resumption.token
    const signaling = await Signaling.open(
      {
        url: signalingServerUrl,
        ...this.identity,
        resumes: resumeToken !== null,
        token: typeof token === 'function' ? await ask(token) : (token ?? null),
        timeoutMs: connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
        signal,
      },
      {
        message: (message) => {
          if (!signal.aborted) this.receive(message)
        },
        closed: (code) => {
          if (!signal.aborted) this.signalingLost(code)
        },
      },
    )
    // Whoever waited has left, or tries it with another socket already.
    if (signal.aborted || opening !== this.openings) return signaling.close()
    this.signaling = signaling
    if (resumeToken !== null) signaling.send({ type: 'resume', resumeToken })
  }

  private receive(message: FromServer): void {
    switch (message.type) {
      case 'queued': {
        const { position, etaMs = null } = message
        this.joinTimer.stop()
        if (this.sessionId !== null) this.media.lost()
        this.setStatus('queued')
        this.emit('queued', { position, etaMs })
        break
      }
      case 'session-created':
        // After a refused resume the server goes on as with a newcomer: nobody asked for that.
        if (this.pending !== null) this.created(message)
        break
      case 'session-resumed':
        this.resumed(message)
        break
      case 'worker-replaced':
        this.served(message)
        this.emit('workerReplaced', { workerId: message.workerId })
        this.media.replaced(message.negotiation)
        break
      case 'answer':
        void this.media.answered(message.sdp, message.negotiation ?? 1)
        break
      case 'ice-candidate':
        void this.media.candidate(message.candidate, message.negotiation ?? 1)
        break
      case 'session-ended':
        this.fail(this.toldAlready(message.reason) ?? RemoteRenderError.ended(message.reason ?? ''))
        break
      case 'error':
        this.refused(message)
        break
    }
  }

  private created(message: Extract<FromServer, { type: 'session-created' }>): void {
    const { protocolVersion = PROTOCOL_VERSION } = message
    if (protocolVersion !== PROTOCOL_VERSION) {
      this.fail(RemoteRenderError.version(protocolVersion, PROTOCOL_VERSION))
      return
    }
    this.joinTimer.stop()
    // A worker may refuse: then the next one has another session, and gets the same offer.
    const again = this.sessionId !== null
    this.sessionId = message.sessionId
    this.served(message)
    this.resumption.token = message.resumeToken || null
    this.setStatus('connecting')
    if (again) this.media.expect()
    else this.media.negotiate()
  }

  private refused(message: Extract<FromServer, { type: 'error' }>): void {
    const error = RemoteRenderError.from(message)
    if (error.harmless) this.emit('error', error)
    else if (this.pending !== null) this.fail(error)
    else if (this.resumption.running) {
      if (error.retryable) this.resume()
      else this.fail(error)
    } else {
      this.lastError = error
      this.emit('error', error)
    }
  }

  /** The error of a moment ago that a final message is about. */
  private toldAlready(code: string | undefined): RemoteRenderError | null {
    return this.lastError?.code === code ? this.lastError : null
  }

  private signalingLost(code: number): void {
    this.signaling = null
    if (this.pending !== null || this.resumption.token === null) {
      this.fail(new RemoteRenderError('the signaling connection was closed', 'closed'))
    } else if (isFinal(code)) {
      this.fail(new RemoteRenderError(closeText(code), 'closed'))
    } else this.resume()
  }

  /** Come back on the same session; the media goes on meanwhile. */
  private resume(): void {
    this.signaling?.close()
    this.signaling = null
    this.resumption.attempt(
      () => this.openSignaling(),
      () => this.resume(),
      (error) => this.fail(error),
    )
    this.refreshStatus()
  }

  private resumed(message: Extract<FromServer, { type: 'session-resumed' }>): void {
    if (!this.resumption.running) return
    this.resumption.succeeded(message.resumeToken)
    this.served(message)
    this.emit('sessionResumed', { workerId: message.workerId })
    if (message.workerId === '') this.media.lost()
    else this.media.caughtUp()
    this.refreshStatus()
  }

  private served(by: { workerId: string; iceServers?: RTCIceServer[] }): void {
    this.workerId = by.workerId || null
    this.media.iceServers = by.iceServers ?? []
  }

  // --- media -----------------------------------------------------------------

  private mediaFlows(): void {
    const pending = this.pending
    this.pending = null
    const first = !this.everConnected
    this.everConnected = true
    this.refreshStatus()
    if (!first) return
    pending?.resolve()
    this.emit('connected', undefined)
  }

  private edit(type: string, data: unknown): void {
    if (this.inputs.edit(type, data)) return
    this.emit('error', new RemoteRenderError('too many edits wait for an answer', 'too_many'))
  }

  private fromWorker(message: FromWorker): void {
    switch (message.type) {
      case 'device:selected':
        this.emit('selected', message.deviceId)
        break
      case 'state':
        this.emit('state', { revision: message.revision, state: message.state })
        break
      case 'edit:ack':
        this.inputs.acknowledged(message.editId)
        this.emit('editAcknowledged', { editId: message.editId, code: message.code ?? null })
        break
    }
  }

  // --- status and the end ----------------------------------------------------

  private setStatus(status: ConnectionStatus): void {
    if (status === this.current) return
    this.current = status
    this.emit('status', status)
  }

  /** The status of a session that had its first frame. */
  private refreshStatus(): void {
    if (!this.everConnected) return
    // Until another worker is there, its place in the queue is what there is to say.
    if (this.current === 'queued' && this.media.waits && !this.resumption.running) return
    const whole = this.media.healthy && !this.resumption.running
    this.setStatus(whole ? 'connected' : 'reconnecting')
  }

  /** Ends the session, or the attempt at one: then connect() rejects with the error. */
  private fail(error: RemoteRenderError): void {
    if (this.pending !== null) return this.pending.reject(error)
    const told = error === this.lastError
    this.finish(error)
    if (!told) this.emit('error', error)
  }

  private finish(why: RemoteRenderError | null): void {
    this.endedBy = why
    this.leaving.abort()
    this.leaving = new AbortController()
    const wasConnected = this.everConnected
    this.everConnected = false
    this.pending = null
    this.lastError = null
    this.joinTimer.stop()
    this.resumption.stop()
    this.media.close()
    this.signaling?.close()
    this.signaling = null
    this.sessionId = null
    this.workerId = null
    if (this.current === 'idle') return
    this.setStatus('closed')
    if (wasConnected) this.emit('disconnected', undefined)
  }
}
