/** One timeout at a time: starting it again forgets the one before. */

export class Timer {
  private handle: ReturnType<typeof setTimeout> | null = null

  start(ms: number, then: () => void): void {
    this.stop()
    this.handle = setTimeout(() => {
      this.handle = null
      then()
    }, ms)
  }

  get running(): boolean {
    return this.handle !== null
  }

  stop(): void {
    if (this.handle !== null) clearTimeout(this.handle)
    this.handle = null
  }
}
