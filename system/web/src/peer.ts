/**
 * One negotiation: an RTCPeerConnection with its data channels, from offer to close.
 * A session that needs another one (its worker was replaced) gets a fresh Peer.
 */

import type { StreamOptions, ToServer } from './protocol.js'

const MAX_EARLY_CANDIDATES = 64
/** An input behind this much unsent data would be stale when it arrives. */
const MAX_BUFFERED_BYTES = 64 * 1024

export interface PeerOptions {
  negotiation: number
  iceServers: RTCIceServer[]
  codec: 'h264' | 'vp8'
  stream: StreamOptions
}

/** None is called after `close`. */
export interface PeerHandlers {
  send(message: ToServer): void
  track(track: MediaStreamTrack, stream: MediaStream | null): void
  state(state: RTCPeerConnectionState): void
  message(data: unknown): void
  /** The reliable channel is open: what was not acknowledged may be sent again. */
  editOpen(): void
}

export class Peer {
  readonly connection: RTCPeerConnection
  private readonly input: RTCDataChannel
  private readonly edit: RTCDataChannel
  private closed = false
  private offered = false
  private described = false
  private unsent: Array<RTCIceCandidateInit | null> = []
  private early: Array<RTCIceCandidateInit | null> = []

  constructor(
    private readonly options: PeerOptions,
    private readonly handlers: PeerHandlers,
  ) {
    this.connection = new RTCPeerConnection({
      iceServers: options.iceServers,
      bundlePolicy: 'max-bundle',
      rtcpMuxPolicy: 'require',
    })
    // Not with maxPacketLifeTime as well: browsers refuse the two together.
    this.input = this.connection.createDataChannel('input', { ordered: false, maxRetransmits: 0 })
    this.edit = this.connection.createDataChannel('edit')
    for (const channel of [this.input, this.edit]) {
      channel.onmessage = (event: MessageEvent<unknown>) => handlers.message(event.data)
    }
    this.edit.onopen = () => handlers.editOpen()
    const transceiver = this.connection.addTransceiver('video', { direction: 'recvonly' })
    chooseCodec(transceiver, options.codec)
    this.connection.ontrack = (event) => {
      if (event.track.kind !== 'video') return
      showAtOnce(event.receiver)
      handlers.track(event.track, event.streams[0] ?? null)
    }
    this.connection.onicecandidate = (event) => {
      this.trickle(event.candidate === null ? null : event.candidate.toJSON())
    }
    this.connection.onconnectionstatechange = () => handlers.state(this.connection.connectionState)
  }

  get negotiation(): number {
    return this.options.negotiation
  }

  get blockCode(): boolean {
    return this.options.stream.blockCode === true
  }

  /** Whether the worker's answer is in; what gets lost before it is not made up for. */
  get answered(): boolean {
    return this.described
  }

  async offer(): Promise<void> {
    const offer = await this.connection.createOffer()
    if (this.closed) return
    await this.connection.setLocalDescription(offer)
    if (this.closed) return
    this.handlers.send({
      type: 'offer',
      sdp: { type: 'offer', sdp: offer.sdp ?? '' },
      negotiation: this.negotiation,
      stream: this.options.stream,
    })
    this.offered = true
    for (const candidate of this.unsent.splice(0)) this.trickle(candidate)
  }

  async answer(sdp: RTCSessionDescriptionInit): Promise<void> {
    if (this.closed || this.described) return
    await this.connection.setRemoteDescription(sdp)
    this.described = true
    for (const candidate of this.early.splice(0)) await this.add(candidate)
  }

  /** A candidate of the worker's; one that comes before the answer waits for it. */
  async candidate(candidate: RTCIceCandidateInit | null): Promise<void> {
    if (this.described) await this.add(candidate)
    else if (this.early.length < MAX_EARLY_CANDIDATES) this.early.push(candidate)
  }

  /** Sends unless the channel is closed or congested; says whether it did. */
  sendInput(text: string): boolean {
    return this.input.bufferedAmount <= MAX_BUFFERED_BYTES && send(this.input, text)
  }

  sendEdit(text: string): boolean {
    return send(this.edit, text)
  }

  close(): void {
    this.closed = true
    this.input.onmessage = null
    this.edit.onmessage = null
    this.edit.onopen = null
    this.connection.ontrack = null
    this.connection.onicecandidate = null
    this.connection.onconnectionstatechange = null
    this.connection.close()
  }

  private trickle(candidate: RTCIceCandidateInit | null): void {
    const { negotiation } = this
    if (this.offered) this.handlers.send({ type: 'ice-candidate', candidate, negotiation })
    else this.unsent.push(candidate)
  }

  private async add(candidate: RTCIceCandidateInit | null): Promise<void> {
    if (this.closed || candidate === null || !candidate.candidate) return
    try {
      await this.connection.addIceCandidate(candidate)
    } catch {
      // One candidate that the browser cannot use; the others may do.
    }
  }
}

function send(channel: RTCDataChannel, text: string): boolean {
  if (channel.readyState !== 'open') return false
  try {
    channel.send(text)
    return true
  } catch {
    return false // its buffer is full, or it has closed this very moment
  }
}

/**
 * H.264 first, which workers encode fastest; or none of it, since a worker that has both
 * would take it. What the browser lacks is not asked for.
 */
function chooseCodec(transceiver: RTCRtpTransceiver, codec: 'h264' | 'vp8'): void {
  const all = RTCRtpReceiver.getCapabilities?.('video')?.codecs ?? []
  const is = (name: string) => (c: { mimeType: string }) => c.mimeType.toLowerCase() === `video/${name}`
  const wanted = all.filter(is(codec))
  if (wanted.length === 0) return
  const rest = all.filter((c) => !is('h264')(c) && !wanted.includes(c))
  transceiver.setCodecPreferences([...wanted, ...rest])
}

/** Interaction wants the newest frame, not a smooth film: hold none back. */
function showAtOnce(receiver: RTCRtpReceiver | undefined): void {
  if (receiver !== undefined && 'jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0
}
