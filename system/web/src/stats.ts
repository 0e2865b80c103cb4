/** Statistics of a stream each second, from the differences of two W3C reports. */

/** The document's fields. `rtt` is in ms, `jitter` in s, `bitrate` in Mbit/s, `fps` in 1/s. */
export interface RTCStats {
  fps: number
  rtt: number
  packetsLost: number
  bytesReceived: number
  jitter: number
  bitrate: number
}

/** The document's statistics and what the panel shows besides. Times in ms unless named. */
export interface StreamStats extends RTCStats {
  framesDecoded: number
  framesDropped: number
  freezeCount: number
  totalFreezesDurationS: number
  jitterBufferDelayMs: number | null
  decodeMs: number | null
  codec: string | null
  width: number
  height: number
  /** Input to the presented frame that shows it: median of the last second; null for none. */
  inputToFrameMs: number | null
}

interface InboundVideo {
  type: 'inbound-rtp'
  kind: string
  timestamp: number
  framesDecoded?: number
  framesReceived?: number
  framesDropped?: number
  packetsLost?: number
  bytesReceived?: number
  jitter?: number
  freezeCount?: number
  totalFreezesDuration?: number
  jitterBufferDelay?: number
  jitterBufferEmittedCount?: number
  totalDecodeTime?: number
  codecId?: string
  frameWidth?: number
  frameHeight?: number
}

interface CandidatePair {
  type: 'candidate-pair'
  state: string
  nominated?: boolean
  currentRoundTripTime?: number
}

interface Codec {
  type: 'codec'
  mimeType?: string
}

interface Sample {
  timestamp: number
  frames: number
  bytes: number
  jitterBufferDelay: number
  emitted: number
  decodeTime: number
  decoded: number
}

/** Anything with `forEach`, as RTCStatsReport has. */
export interface ReportLike {
  forEach(callback: (report: { type: string; id?: string }) => void): void
}

/** Keeps the previous report's figures, so that rates are those of the last interval. */
export class StatsMeter {
  private last: Sample | null = null

  /** Forget the previous report, after the peer connection was replaced. */
  reset(): void {
    this.last = null
  }

  /** The figures of the interval since the previous call; rates are 0 on the first. */
  measure(report: ReportLike, inputToFrameMs: number | null = null): StreamStats {
    let inbound: InboundVideo | null = null
    let rttMs = 0
    let rttNominated = false
    const codecs = new Map<string, string>()
    report.forEach((entry) => {
      if (entry.type === 'inbound-rtp') {
        const candidate = entry as unknown as InboundVideo
        if (candidate.kind === 'video') inbound = candidate
      } else if (entry.type === 'candidate-pair') {
        const pair = entry as unknown as CandidatePair
        if (pair.state === 'succeeded' && !rttNominated) {
          rttMs = (pair.currentRoundTripTime ?? 0) * 1000
          rttNominated = pair.nominated === true
        }
      } else if (entry.type === 'codec' && entry.id !== undefined) {
        codecs.set(entry.id, (entry as unknown as Codec).mimeType ?? '')
      }
    })
    const video = inbound as InboundVideo | null
    const now: Sample = {
      timestamp: video?.timestamp ?? 0,
      frames: video?.framesDecoded ?? video?.framesReceived ?? 0,
      bytes: video?.bytesReceived ?? 0,
      jitterBufferDelay: video?.jitterBufferDelay ?? 0,
      emitted: video?.jitterBufferEmittedCount ?? 0,
      decodeTime: video?.totalDecodeTime ?? 0,
      decoded: video?.framesDecoded ?? 0,
    }
    const before = this.last
    this.last = video === null ? null : now
    const seconds = before === null ? 0 : (now.timestamp - before.timestamp) / 1000
    const rate = (difference: number): number => (seconds > 0 ? difference / seconds : 0)
    const mean = (sum: number, count: number): number | null =>
      count > 0 ? (sum / count) * 1000 : null
    return {
      fps: before === null ? 0 : rate(now.frames - before.frames),
      rtt: rttMs,
      packetsLost: video?.packetsLost ?? 0,
      bytesReceived: now.bytes,
      jitter: video?.jitter ?? 0,
      bitrate: before === null ? 0 : rate((now.bytes - before.bytes) * 8) / 1_000_000,
      framesDecoded: now.decoded,
      framesDropped: video?.framesDropped ?? 0,
      freezeCount: video?.freezeCount ?? 0,
      totalFreezesDurationS: video?.totalFreezesDuration ?? 0,
      jitterBufferDelayMs:
        before === null
          ? null
          : mean(now.jitterBufferDelay - before.jitterBufferDelay, now.emitted - before.emitted),
      decodeMs:
        before === null
          ? null
          : mean(now.decodeTime - before.decodeTime, now.decoded - before.decoded),
      codec: (video?.codecId === undefined ? null : codecs.get(video.codecId)) ?? null,
      width: video?.frameWidth ?? 0,
      height: video?.frameHeight ?? 0,
      inputToFrameMs,
    }
  }
}
