/** The video element: shows a track, and says when its first frame is there. */

export class Stage {
  private forget: () => void = () => undefined

  constructor(private readonly video: HTMLVideoElement) {}

  /**
   * Shows a track. Where another one shows already, its last picture stays until the new
   * one has media. `flows` is called once, with the first frame; `blocked` where the browser
   * shows none before it was clicked.
   */
  show(
    track: MediaStreamTrack,
    stream: MediaStream | null,
    flows: () => void,
    blocked: () => void,
  ): void {
    this.forget()
    const { video } = this
    const attach = (): void => {
      track.onunmute = null
      video.srcObject = stream ?? new MediaStream([track])
      const forget = watchFirstFrame(video, flows)
      this.forget = forget
      void play(video).then((may) => {
        if (!may && this.forget === forget) blocked()
      })
    }
    if (video.srcObject !== null && track.muted) {
      track.onunmute = attach
      this.forget = () => {
        track.onunmute = null
      }
    } else attach()
  }

  clear(): void {
    this.forget()
    this.forget = () => undefined
    this.video.srcObject = null
  }
}

/** Plays, muted if need be: there is no sound to lose. False where not even that is allowed. */
async function play(video: HTMLVideoElement): Promise<boolean> {
  if (await mayPlay(video)) return true
  video.muted = true
  return mayPlay(video)
}

/** Other failures than being forbidden are those of a stream that was replaced meanwhile. */
async function mayPlay(video: HTMLVideoElement): Promise<boolean> {
  try {
    await video.play()
    return true
  } catch (error) {
    return (error as Error | null)?.name !== 'NotAllowedError'
  }
}

/**
 * Calls `flows` once; the returned function gives up waiting. Frame callbacks come with the
 * frame, but never in a hidden page; `loadeddata` comes in either.
 */
function watchFirstFrame(video: HTMLVideoElement, flows: () => void): () => void {
  let handle: number | null = null
  const stop = (): void => {
    video.removeEventListener('loadeddata', arrived)
    if (handle !== null) video.cancelVideoFrameCallback(handle)
    handle = null
  }
  const arrived = (): void => {
    stop()
    flows()
  }
  video.addEventListener('loadeddata', arrived)
  if ('requestVideoFrameCallback' in video) handle = video.requestVideoFrameCallback(arrived)
  return stop
}
