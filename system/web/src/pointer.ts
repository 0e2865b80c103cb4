/** Pointer coordinates in the picture, and clicks told from drags. Pure, no DOM types needed. */

export interface Box {
  width: number
  height: number
}

export interface Point {
  x: number
  y: number
}

/** A picture within its element: pixels times `scale`, beginning at (`left`, `top`). */
export interface Placing {
  left: number
  top: number
  scale: number
}

/** Where `object-fit: contain` puts a picture; null where either has no size yet. */
export function placing(element: Box, picture: Box): Placing | null {
  if (element.width <= 0 || element.height <= 0 || picture.width <= 0 || picture.height <= 0) {
    return null
  }
  const scale = Math.min(element.width / picture.width, element.height / picture.height)
  const left = (element.width - picture.width * scale) / 2
  const top = (element.height - picture.height * scale) / 2
  return { left, top, scale }
}

/** The pixel under a point of the element; null where it falls on a bar beside the picture. */
export function toPicture(point: Point, element: Box, picture: Box): Point | null {
  const placed = placing(element, picture)
  if (placed === null) return null
  const x = (point.x - placed.left) / placed.scale
  const y = (point.y - placed.top) / placed.scale
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
