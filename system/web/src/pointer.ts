/** Pointer coordinates in the picture, and clicks told from drags. Pure, no DOM types needed. */

export interface Box {
  width: number
  height: number
}

export interface Point {
  x: number
  y: number
}

/** A picture within its element: pixels times the scale, beginning at (`left`, `top`). */
export interface Placing {
  left: number
  top: number
  scaleX: number
  scaleY: number
}

/** Where `object-fit` puts a picture, centred; null where either has no size yet. */
export function placing(element: Box, picture: Box, fit = 'contain'): Placing | null {
  if (element.width <= 0 || element.height <= 0 || picture.width <= 0 || picture.height <= 0) {
    return null
  }
  const [scaleX, scaleY] = scales(element.width / picture.width, element.height / picture.height, fit)
  const left = (element.width - picture.width * scaleX) / 2
  const top = (element.height - picture.height * scaleY) / 2
  return { left, top, scaleX, scaleY }
}

function scales(x: number, y: number, fit: string): [number, number] {
  if (fit === 'fill') return [x, y]
  const scale =
    fit === 'cover' ? Math.max(x, y) : fit === 'none' ? 1 : fit === 'scale-down' ? Math.min(x, y, 1) : Math.min(x, y)
  return [scale, scale]
}

/** The pixel under a point of the element; null where it falls on a bar beside the picture. */
export function toPicture(
  point: Point,
  element: Box,
  picture: Box,
  fit = 'contain',
): Point | null {
  const placed = placing(element, picture, fit)
  if (placed === null) return null
  const x = (point.x - placed.left) / placed.scaleX
  const y = (point.y - placed.top) / placed.scaleY
  if (x < 0 || y < 0 || x > picture.width || y > picture.height) return null
  return { x, y }
}

/** A press that moves further than this many CSS pixels is a drag, not a click. */
export const CLICK_SLOP_PX = 4

/** Follows one pointer from press to release. */
export class Gesture {
  private last: Point
  private moved = false

  constructor(readonly start: Point) {
    this.last = start
  }

  /** Movement since the previous call; null while it still may become a click. */
  move(to: Point): { deltaX: number; deltaY: number } | null {
    if (!this.moved) {
      const distance = Math.hypot(to.x - this.start.x, to.y - this.start.y)
      if (distance <= CLICK_SLOP_PX) return null
      this.moved = true
    }
    const delta = { deltaX: to.x - this.last.x, deltaY: to.y - this.last.y }
    this.last = to
    return delta
  }

  /** Whether the press, released now, was a click. */
  get isClick(): boolean {
    return !this.moved
  }
}
