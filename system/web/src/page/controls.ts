/** Mouse, touch, wheel and keyboard on the video, turned into inputs. */

import type { RemoteRenderClient } from '../client'
import { floorPoint, readCamera, type CameraState } from '../floor'
import { Gesture, toPicture, type Point } from '../pointer'

const LONG_PRESS_MS = 450
const KEY_TURN_PX = 24
const WHEEL_STEP_PX = 100

type Mode = 'press' | 'orbit' | 'move'

export class Controls {
  client: RemoteRenderClient | null = null
  selected: string | null = null
  /** The next click picks the other end of a connection. */
  linking = false
  onLinkingChange: () => void = () => undefined

  private readonly pointers = new Map<number, Point>()
  private gesture: Gesture | null = null
  private mode: Mode = 'press'
  private camera: CameraState | null = null
  private longPress: ReturnType<typeof setTimeout> | null = null
  private pinch = 0
  private wheel = 0
  private lastDrag: [number, number, number] | null = null

  constructor(private readonly video: HTMLVideoElement) {
    video.addEventListener('pointerdown', (event) => this.down(event))
    video.addEventListener('pointermove', (event) => this.move(event))
    video.addEventListener('pointerup', (event) => this.up(event, false))
    video.addEventListener('pointercancel', (event) => this.up(event, true))
    video.addEventListener('wheel', (event) => this.turnWheel(event), { passive: false })
    video.addEventListener('keydown', (event) => this.key(event))
    video.addEventListener('contextmenu', (event) => event.preventDefault())
  }

  /** The latest camera, from the worker's state; needed to move a device on the floor. */
  setState(state: Record<string, unknown>): void {
    this.camera = readCamera(state)
  }

  setLinking(on: boolean): void {
    this.linking = on && this.selected !== null
    this.video.classList.toggle('linking', this.linking)
    this.onLinkingChange()
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return
    this.video.focus({ preventScroll: true })
    this.video.setPointerCapture(event.pointerId)
    const at = { x: event.clientX, y: event.clientY }
    this.pointers.set(event.pointerId, at)
    if (this.pointers.size === 2) {
      this.cancelGesture()
      this.pinch = this.pinchDistance()
      return
    }
    this.gesture = new Gesture(at)
    this.mode = 'press'
    this.lastDrag = null
    this.client?.requestState()
    if (event.shiftKey && this.selected !== null) this.startMove()
    else if (event.pointerType === 'touch' && this.selected !== null) {
      this.longPress = setTimeout(() => this.startMove(), LONG_PRESS_MS)
    }
  }

  private startMove(): void {
    this.mode = 'move'
    this.video.classList.add('dragging')
  }

  private move(event: PointerEvent): void {
    if (!this.pointers.has(event.pointerId)) return
    const at = { x: event.clientX, y: event.clientY }
    this.pointers.set(event.pointerId, at)
    if (this.pointers.size === 2) {
      this.zoomByPinch()
      return
    }
    const delta = this.gesture?.move(at)
    if (delta === null || delta === undefined) return
    this.clearLongPress()
    if (this.mode === 'move') this.drag(at)
    else {
      this.mode = 'orbit'
      this.client?.sendCameraOrbit(delta.deltaX, delta.deltaY)
    }
  }

  private up(event: PointerEvent, cancelled: boolean): void {
    if (!this.pointers.delete(event.pointerId)) return
    this.clearLongPress()
    const gesture = this.gesture
    this.gesture = null
    this.video.classList.remove('dragging')
    if (gesture === null) return
    if (this.mode === 'move' && this.lastDrag !== null && this.selected !== null) {
      this.client?.sendDeviceDrag(this.selected, this.lastDrag, true)
    } else if (!cancelled && gesture.isClick) {
      this.click(gesture.start)
    }
  }

  private click(at: Point): void {
    const point = this.inPicture(at)
    if (point !== null) this.client?.sendDeviceClick('', point.x, point.y)
  }

  private drag(at: Point): void {
    const point = this.inPicture(at)
    if (point === null || this.camera === null || this.selected === null) return
    const picture = { width: this.video.videoWidth, height: this.video.videoHeight }
    const position = floorPoint(this.camera, point, picture)
    if (position === null) return
    this.lastDrag = position
    this.client?.sendDeviceDrag(this.selected, position)
  }

  private inPicture(at: Point): Point | null {
    const box = this.video.getBoundingClientRect()
    return toPicture(
      { x: at.x - box.left, y: at.y - box.top },
      box,
      { width: this.video.videoWidth, height: this.video.videoHeight },
    )
  }

  private turnWheel(event: WheelEvent): void {
    event.preventDefault()
    const px = event.deltaMode === 1 ? event.deltaY * 33 : event.deltaY
    this.wheel += px / WHEEL_STEP_PX
    const steps = Math.trunc(this.wheel * 10) / 10
    if (steps === 0) return
    this.wheel -= steps
    this.client?.sendCameraZoom(-steps)
  }

  private zoomByPinch(): void {
    const distance = this.pinchDistance()
    if (this.pinch > 0 && distance > 0) {
      const steps = Math.log(distance / this.pinch) / -Math.log(0.9)
      if (Math.abs(steps) >= 0.1) {
        this.client?.sendCameraZoom(steps)
        this.pinch = distance
      }
    } else this.pinch = distance
  }

  private pinchDistance(): number {
    const [a, b] = [...this.pointers.values()]
    return a === undefined || b === undefined ? 0 : Math.hypot(a.x - b.x, a.y - b.y)
  }

  private key(event: KeyboardEvent): void {
    const turns: Record<string, [number, number]> = {
      ArrowLeft: [-KEY_TURN_PX, 0],
      ArrowRight: [KEY_TURN_PX, 0],
      ArrowUp: [0, -KEY_TURN_PX],
      ArrowDown: [0, KEY_TURN_PX],
    }
    const turn = turns[event.key]
    if (turn !== undefined) this.client?.sendCameraOrbit(...turn)
    else if (event.key === '+' || event.key === '=') this.client?.sendCameraZoom(1)
    else if (event.key === '-') this.client?.sendCameraZoom(-1)
    else if (event.key === 'c' || event.key === 'C') this.setLinking(!this.linking)
    else if (event.key === 'Escape') {
      this.setLinking(false)
      this.cancelGesture()
    } else return
    event.preventDefault()
  }

  private cancelGesture(): void {
    this.gesture = null
    this.clearLongPress()
    this.video.classList.remove('dragging')
  }

  private clearLongPress(): void {
    if (this.longPress !== null) clearTimeout(this.longPress)
    this.longPress = null
  }
}
