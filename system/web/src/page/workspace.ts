/** What a viewer is doing: the selected device, and what the next gesture does with it. */

import type { RemoteRenderClient } from '../client.js'
import { floorAxes, floorPoint } from '../floor.js'
import type { Box, Point } from '../pointer.js'
import { readCamera, readDevice, readSelection, type CameraState } from '../scene.js'

/** `move`: drags and arrows move the selected device. `link`: the next pick is the other end. */
export type Mode = 'look' | 'move' | 'link'

type Place = [number, number, number]

const NUDGE_M = 0.25
const NUDGE_QUIET_MS = 400

export class Workspace {
  selected: string | null = null
  kind: string | null = null
  position: Place | null = null
  mode: Mode = 'look'
  linkType = 'conveyor'
  /** The latest state, as the worker sent it; null before there is one. */
  state: Record<string, unknown> | null = null
  onChange: () => void = () => undefined
  onLinked: (source: string, target: string, type: string) => void = () => undefined

  private camera: CameraState | null = null
  private revision = -1
  private dragging = false
  /** From the floor under the pointer to the device's place, so that it does not jump. */
  private grip: [number, number] = [0, 0]
  private nudging: ReturnType<typeof setTimeout> | null = null

  constructor(readonly client: RemoteRenderClient) {
    client.on('selected', (deviceId) => this.picked(deviceId))
    client.on('state', ({ revision, state }) => this.setState(revision, state))
    client.on('workerReplaced', () => {
      this.revision = -1
    })
    client.on('connected', () => client.requestState())
    client.on('disconnected', () => this.reset())
  }

  setMode(mode: Mode): void {
    this.mode = this.selected === null ? 'look' : mode
    if (this.mode === 'move') this.client.requestState()
    this.onChange()
  }

  toggle(mode: Mode): void {
    this.setMode(this.mode === mode ? 'look' : mode)
  }

  // --- moving the selected device ---------------------------------------------

  /** A drag begins at a pixel; false where nothing is selected or no floor is there. */
  grab(pixel: Point, picture: Box): boolean {
    const floor = this.floor(pixel, picture)
    if (floor === null || this.selected === null) return false
    this.commitNudge()
    this.grip =
      this.position === null
        ? [0, 0]
        : [this.position[0] - floor[0], this.position[1] - floor[1]]
    this.dragging = true
    return true
  }

  dragTo(pixel: Point, picture: Box): void {
    const floor = this.floor(pixel, picture)
    if (!this.dragging || floor === null) return
    this.place([floor[0] + this.grip[0], floor[1] + this.grip[1], 0], false)
  }

  drop(): void {
    if (this.dragging && this.position !== null) this.place(this.position, true)
    this.dragging = false
  }

  /** A step of the selected device, right and up as the picture shows it. */
  nudge(right: number, up: number): void {
    if (this.position === null || this.camera === null) return
    const axes = floorAxes(this.camera)
    const [x, y] = this.position
    this.place(
      [
        x + NUDGE_M * (right * axes.right[0] + up * axes.up[0]),
        y + NUDGE_M * (right * axes.right[1] + up * axes.up[1]),
        0,
      ],
      false,
    )
    if (this.nudging !== null) clearTimeout(this.nudging)
    this.nudging = setTimeout(() => this.commitNudge(), NUDGE_QUIET_MS)
  }

  private commitNudge(): void {
    if (this.nudging === null) return
    clearTimeout(this.nudging)
    this.nudging = null
    if (this.position !== null) this.place(this.position, true)
  }

  private place(position: Place, end: boolean): void {
    if (this.selected === null) return
    this.position = position
    this.client.sendDeviceDrag(this.selected, position, end)
    this.onChange()
  }

  private floor(pixel: Point, picture: Box): Place | null {
    return this.camera === null ? null : floorPoint(this.camera, pixel, picture)
  }

  // --- what the worker says ---------------------------------------------------

  private picked(deviceId: string | null): void {
    const source = this.selected
    if (this.mode === 'link' && source !== null && deviceId !== null && deviceId !== source) {
      this.client.sendConnectionCreate(source, deviceId, this.linkType)
      this.onLinked(source, deviceId, this.linkType)
    }
    if (deviceId !== source) {
      this.kind = null
      this.position = null
      this.mode = 'look'
    }
    this.selected = deviceId
    this.onChange()
  }

  private setState(revision: number, state: Record<string, unknown>): void {
    if (revision < this.revision) return // overtaken on the unordered channel
    this.revision = revision
    this.state = state
    this.camera = readCamera(state)
    const device = readDevice(state)
    this.selected = readSelection(state)
    this.kind = device?.kind ?? null
    if (!this.dragging && this.nudging === null) this.position = device?.position ?? null
    if (this.selected === null) this.mode = 'look'
    this.onChange()
  }

  private reset(): void {
    if (this.nudging !== null) clearTimeout(this.nudging)
    this.nudging = null
    this.dragging = false
    this.camera = null
    this.revision = -1
    this.state = null
    this.mode = 'look'
    this.picked(null)
  }
}
