/**
 * The picture of one session: one peer connection after the other, what is shown of them,
 * and what is measured. A session needs another connection when its worker was replaced,
 * when the path broke (the server has no ICE restart), or when the stream is to be different.
 */

import type { RemoteRenderConfig } from './config.js'
import { RemoteRenderError } from './errors.js'
import { LatencyProbe, type LatencySample } from './latency.js'
import { Peer } from './peer.js'
import { parse, type FromWorker, type ToServer } from './protocol.js'
import { Stage } from './stage.js'
import { StatsMeter, type StreamStats } from './stats.js'
import { Timer } from './timer.js'

export const CONNECT_TIMEOUT_MS = 15_000
/** Fresh connections in a row that may fail before the session is given up. */
const MAX_FAILURES = 3
const STATS_INTERVAL_MS = 1_000

export interface MediaHandlers {
  /** Sends to signaling; false while that is away. */
  send(message: ToServer): boolean
  /** The first frame of a connection is there. */
  flows(): void
  /** `healthy` may have changed. */
  changed(): void
  /** Each second while frames come. */
  stats(stats: StreamStats): void
  message(message: FromWorker): void
  /** The reliable channel of a new connection is open. */
  editOpen(): void
  /** Media comes, but the browser wants to be clicked before it shows any. */
  blocked(): void
  /** There will be no picture any more. */
  failed(error: RemoteRenderError): void
}

export class Media {
  iceServers: RTCIceServer[] = []
  private readonly stage: Stage
  private readonly meter = new StatsMeter()
  private latency: LatencyProbe | null = null
  private peer: Peer | null = null
  /** Shows its last frame until its successor is answered. */
  private retiring: Peer | null = null
  private readonly timer = new Timer()
  private statsTimer: ReturnType<typeof setInterval> | null = null
  private failures = 0
  private everFlowed = false
  private flowing = false
  /** The worker is gone and another one is not there yet: nothing can be negotiated. */
  private workerless = false

  constructor(
    private readonly config: RemoteRenderConfig,
    private readonly handlers: MediaHandlers,
  ) {
    this.stage = new Stage(config.videoElement)
    if (config.measureLatency === true) this.latency = new LatencyProbe(config.videoElement)
  }

  get connection(): RTCPeerConnection | null {
    return this.peer?.connection ?? null
  }

  /** Whether frames come, as far as one can tell. */
  get healthy(): boolean {
    return this.flowing && this.connection?.connectionState !== 'disconnected'
  }

  /** Whether the session waits for another worker. */
  get waits(): boolean {
    return this.workerless
  }

  get samples(): readonly LatencySample[] {
    return this.latency?.history ?? []
  }

  get measuresLatency(): boolean {
    return this.latency !== null
  }

  measureLatency(on: boolean): void {
    if (on === this.measuresLatency) return
    this.latency?.stop()
    this.latency = on ? new LatencyProbe(this.config.videoElement) : null
    if (this.flowing) this.negotiate()
  }

  /** Begins a negotiation, which is that number or, if it was used already, the next. */
  negotiate(wanted = 1): void {
    this.retiring?.close()
    this.retiring = this.peer
    this.flowing = false
    this.meter.reset()
    const negotiation = Math.max(wanted, (this.peer?.negotiation ?? 0) + 1)
    const mine = (): boolean => peer === this.peer
    const peer: Peer = new Peer(this.options(negotiation), {
      send: (message) => mine() && this.handlers.send(message),
      track: (track, stream) => mine() && this.show(peer, track, stream),
      state: (state) => mine() && this.stateChanged(state),
      message: (data) => mine() && this.received(data),
      editOpen: () => mine() && this.handlers.editOpen(),
    })
    this.peer = peer
    this.expect()
    peer.offer().catch(() => mine() && this.connectionFailed('no offer could be made'))
  }

  /** A worker has the latest offer, or will have it: its picture has to come in time. */
  expect(): void {
    this.workerless = false
    this.timer.start(this.config.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, () =>
      this.connectionFailed('no picture arrived in time', 'timeout'),
    )
    this.handlers.changed()
  }

  /** The worker is gone: its last picture stays until `replaced`. */
  lost(): void {
    this.timer.stop()
    this.flowing = false
    this.workerless = true
    this.handlers.changed()
  }

  /** Another worker is there: frame ids begin anew. */
  replaced(negotiation: number): void {
    this.latency?.restart()
    this.negotiate(negotiation)
  }

  /** Signaling is back: what got lost meanwhile is made good by another negotiation. */
  caughtUp(): void {
    const state = this.connection?.connectionState
    if (this.peer !== null && (!this.peer.answered || state === 'failed')) this.negotiate()
  }

  async answered(sdp: RTCSessionDescriptionInit, negotiation: number): Promise<void> {
    const peer = this.peer
    if (peer === null || negotiation !== peer.negotiation) return
    try {
      await peer.answer(sdp)
    } catch {
      if (peer === this.peer) this.connectionFailed("the worker's answer cannot be used")
      return
    }
    if (peer !== this.peer) return
    // To the worker, one that closes before its successor is answered is a viewer leaving.
    this.retiring?.close()
    this.retiring = null
  }

  async candidate(candidate: RTCIceCandidateInit | null, negotiation: number): Promise<void> {
    if (negotiation === this.peer?.negotiation) await this.peer.candidate(candidate)
  }

  /** Sends an input, whose frame is awaited; false where it could not be sent. */
  sendInput(text: string, seq: number): boolean {
    return this.timed(seq, this.peer?.sendInput(text) === true)
  }

  sendEdit(text: string, seq: number | null = null): boolean {
    return this.timed(seq, this.peer?.sendEdit(text) === true)
  }

  /** Closes everything and clears the picture; may be used again. */
  close(): void {
    this.timer.stop()
    if (this.statsTimer !== null) clearInterval(this.statsTimer)
    this.statsTimer = null
    this.retiring?.close()
    this.peer?.close()
    this.retiring = this.peer = null
    this.everFlowed = this.flowing = this.workerless = false
    this.failures = 0
    this.latency?.stop()
    this.stage.clear()
  }

  private options(negotiation: number): ConstructorParameters<typeof Peer>[0] {
    const { stunServers = [], turnServers = [], codec = 'h264', pacing } = this.config
    return {
      negotiation,
      iceServers: [...this.iceServers, ...stunServers.map((urls) => ({ urls })), ...turnServers],
      codec,
      stream: { blockCode: this.measuresLatency, ...(pacing === undefined ? {} : { pacing }) },
    }
  }

  private timed(seq: number | null, sent: boolean): boolean {
    if (sent && seq !== null) this.latency?.sent(seq)
    return sent
  }

  private show(peer: Peer, track: MediaStreamTrack, stream: MediaStream | null): void {
    const flows = (): void => {
      if (peer === this.peer) this.flows()
    }
    this.stage.show(track, stream, flows, () => {
      if (peer !== this.peer) return
      flows() // it waits for its viewer, no longer for the network
      this.handlers.blocked()
    })
    this.latency?.start()
  }

  private flows(): void {
    this.timer.stop()
    this.flowing = this.everFlowed = true
    this.failures = 0
    void this.measure(false) // what the first second's rates are counted from
    this.statsTimer ??= setInterval(() => void this.measure(true), STATS_INTERVAL_MS)
    this.handlers.flows()
    if (this.peer?.blockCode !== this.measuresLatency) this.negotiate()
  }

  private async measure(tell: boolean): Promise<void> {
    const peer = this.peer
    if (peer === null || !this.flowing) return
    const report = await peer.connection.getStats().catch(() => null)
    if (report === null || peer !== this.peer || !this.flowing) return
    const stats = this.meter.measure(report, tell ? (this.latency?.take() ?? null) : null)
    if (tell) this.handlers.stats(stats)
  }

  private stateChanged(state: RTCPeerConnectionState): void {
    if (state === 'failed') this.connectionFailed('the peer connection failed')
    else this.handlers.changed()
  }

  private connectionFailed(text: string, code: 'peer_failed' | 'timeout' = 'peer_failed'): void {
    if (this.workerless) return
    this.timer.stop()
    this.flowing = false
    if (!this.everFlowed || ++this.failures > MAX_FAILURES) {
      this.handlers.failed(new RemoteRenderError(text, code))
    } else this.negotiate()
  }

  private received(data: unknown): void {
    const message = parse<FromWorker>(data)
    if (message?.type === 'input:ack') this.latency?.acknowledged(message.frameId, message.seqs)
    else if (message !== null) this.handlers.message(message)
  }
}
