/** Hides the flickering frame ids in the picture's corner; they are read from the video itself. */

import { STRIP_HEIGHT, STRIP_WIDTH } from '../blockcode.js'
import { placingOf } from '../videobox.js'

/** Beyond the strip: compression smears its edge. */
const BLEED_PX = 3

export class StripCover {
  private wanted = false

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly cover: HTMLElement,
  ) {
    new ResizeObserver(() => this.update()).observe(video)
    for (const event of ['resize', 'emptied', 'loadedmetadata']) {
      video.addEventListener(event, () => this.update())
    }
  }

  show(on: boolean): void {
    this.wanted = on
    this.update()
  }

  private update(): void {
    const { video, cover } = this
    const placed = video.srcObject === null ? null : placingOf(video)
    cover.hidden = !this.wanted || placed === null
    if (placed === null) return
    cover.style.translate = `${placed.left}px ${placed.top}px`
    cover.style.width = `${(STRIP_WIDTH + BLEED_PX) * placed.scaleX}px`
    cover.style.height = `${(STRIP_HEIGHT + BLEED_PX) * placed.scaleY}px`
  }
}
