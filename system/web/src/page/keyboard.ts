/** The keyboard on the whole page, turned into inputs. */

import type { Controls } from './controls.js'
import type { Workspace } from './workspace.js'

const TURN_PX = 24

/** Right and up. */
const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
}

export class Keyboard {
  constructor(
    private readonly video: HTMLVideoElement,
    private readonly crosshair: HTMLElement,
    private readonly workspace: Workspace,
    private readonly controls: Controls,
  ) {
    document.addEventListener('keydown', (event) => this.pressed(event))
    document.addEventListener('pointerdown', () => this.showCrosshair(false))
  }

  private pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.target instanceof Element && isForControl(event.target, event.key)) return
    if (this.handle(event.key)) event.preventDefault()
  }

  private handle(key: string): boolean {
    const { workspace } = this
    const arrow = ARROWS[key]
    if (arrow !== undefined) {
      if (workspace.mode === 'move') workspace.nudge(...arrow)
      else workspace.client.sendCameraOrbit(arrow[0] * TURN_PX, -arrow[1] * TURN_PX)
      this.showCrosshair(workspace.mode !== 'move')
    } else if (key === '+' || key === '=') workspace.client.sendCameraZoom(1)
    else if (key === '-') workspace.client.sendCameraZoom(-1)
    else if (key === 'Enter' || key === ' ') this.pickMiddle()
    else if (key === 'm' || key === 'M') workspace.toggle('move')
    else if (key === 'c' || key === 'C') workspace.toggle('link')
    else if (key === 'Escape') workspace.setMode('look')
    else return false
    return true
  }

  private pickMiddle(): void {
    if (this.workspace.mode === 'move') {
      this.workspace.setMode('look')
      return
    }
    this.showCrosshair(true)
    const box = this.video.getBoundingClientRect()
    this.controls.pick({ x: box.left + box.width / 2, y: box.top + box.height / 2 })
  }

  private showCrosshair(on: boolean): void {
    this.crosshair.hidden = !on
  }
}

/** Whether a focused control has a use of its own for the key. */
function isForControl(target: Element, key: string): boolean {
  if (key === 'Escape') return false
  if (target.closest('select') !== null) return true
  return (key === 'Enter' || key === ' ') && target.closest('button, input, summary') !== null
}
