/** Mouse, touch and wheel on the video, turned into inputs. */

import { Gesture, type Box, type Point } from '../pointer.js'
import { pictureOf, pointIn } from '../videobox.js'
import type { Workspace } from './workspace.js'

const LONG_PRESS_MS = 450
/** Of a mouse wheel's notch. */
const WHEEL_STEP_PX = 100
const LINE_PX = 33
/** A step of zoom changes the distance by this factor, as the worker has it. */
const ZOOM_PER_STEP = 0.9

export class Controls {
  private readonly pointers = new Map<number, Point>()
  private gesture: Gesture | null = null
  private moving = false
  private longPress: ReturnType<typeof setTimeout> | null = null
  private pinch = 0
  private wheel = 0

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly workspace: Workspace,
  ) {
    video.addEventListener('pointerdown', (event) => this.down(event))
    video.addEventListener('pointermove', (event) => this.move(event))
    video.addEventListener('pointerup', (event) => this.up(event, false))
    video.addEventListener('pointercancel', (event) => this.up(event, true))
    video.addEventListener('wheel', (event) => this.turnWheel(event), { passive: false })
    video.addEventListener('contextmenu', (event) => event.preventDefault())
  }

  /** Selects what is drawn at a point of the page. */
  pick(at: Point): void {
    const box = this.video.getBoundingClientRect()
    this.workspace.client.sendDeviceClick('', at.x - box.left, at.y - box.top)
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return
    this.video.setPointerCapture(event.pointerId)
    const at = { x: event.clientX, y: event.clientY }
    this.pointers.set(event.pointerId, at)
    if (this.pointers.size > 1) {
      this.endGesture()
      this.pinch = this.pinchDistance()
      return
    }
    this.gesture = new Gesture(at)
    if (this.workspace.selected === null) return
    if (event.shiftKey || this.workspace.mode === 'move') this.grab(at)
    else if (event.pointerType === 'touch') {
      this.longPress = setTimeout(() => this.grab(at), LONG_PRESS_MS)
    }
  }

  private move(event: PointerEvent): void {
    if (!this.pointers.has(event.pointerId)) return
    const at = { x: event.clientX, y: event.clientY }
    this.pointers.set(event.pointerId, at)
    if (this.pointers.size > 1) {
      this.zoomByPinch()
      return
    }
    const delta = this.gesture?.move(at) ?? null
    if (delta === null) return
    this.clearLongPress()
    const pixel = this.pixel(at)
    if (!this.moving) this.workspace.client.sendCameraOrbit(delta.deltaX, delta.deltaY)
    else if (pixel !== null) this.workspace.dragTo(pixel, this.picture)
    this.video.classList.add('dragging')
  }

  private up(event: PointerEvent, cancelled: boolean): void {
    if (!this.pointers.delete(event.pointerId)) return
    const gesture = this.gesture
    const held = this.moving
    this.endGesture()
    if (gesture === null) return
    if (gesture.isClick && !held && !cancelled) this.pick(gesture.start)
    else this.workspace.client.requestState()
  }

  private grab(at: Point): void {
    const pixel = this.pixel(at)
    this.moving = pixel !== null && this.workspace.grab(pixel, this.picture)
    this.video.classList.toggle('dragging', this.moving)
  }

  private endGesture(): void {
    this.clearLongPress()
    if (this.moving) this.workspace.drop()
    this.moving = false
    this.gesture = null
    this.video.classList.remove('dragging')
  }

  private turnWheel(event: WheelEvent): void {
    event.preventDefault()
    const px = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE_PX : event.deltaY
    this.wheel += px / WHEEL_STEP_PX
    const steps = Math.trunc(this.wheel * 10) / 10
    if (steps === 0) return
    this.wheel -= steps
    this.workspace.client.sendCameraZoom(-steps)
  }

  private zoomByPinch(): void {
    const distance = this.pinchDistance()
    const before = this.pinch
    if (before > 0 && distance > 0) {
      const steps = Math.log(distance / before) / -Math.log(ZOOM_PER_STEP)
      if (Math.abs(steps) < 0.1) return
      this.workspace.client.sendCameraZoom(steps)
    }
    this.pinch = distance
  }

  private pinchDistance(): number {
    const [a, b] = [...this.pointers.values()]
    return a === undefined || b === undefined ? 0 : Math.hypot(a.x - b.x, a.y - b.y)
  }

  private get picture(): Box {
    return pictureOf(this.video)
  }

  private pixel(at: Point): Point | null {
    const box = this.video.getBoundingClientRect()
    return pointIn(this.video, at.x - box.left, at.y - box.top)
  }

  private clearLongPress(): void {
    if (this.longPress !== null) clearTimeout(this.longPress)
    this.longPress = null
  }
}
