/** A typed event emitter without dependencies. */

export type Listener<T> = (value: T) => void

export class Emitter<Events extends object> {
  private readonly listeners = new Map<keyof Events, Set<Listener<never>>>()

  /** Listen; the returned function stops it. */
  on<K extends keyof Events>(event: K, listener: Listener<Events[K]>): () => void {
    let set = this.listeners.get(event)
    if (set === undefined) {
      set = new Set()
      this.listeners.set(event, set)
    }
    const owned = set
    owned.add(listener as Listener<never>)
    return () => {
      owned.delete(listener as Listener<never>)
    }
  }

  /** A listener that throws is reported; it neither stops the others nor the emitter. */
  protected emit<K extends keyof Events>(event: K, value: Events[K]): void {
    for (const listener of [...(this.listeners.get(event) ?? [])]) {
      try {
        ;(listener as Listener<Events[K]>)(value)
      } catch (error) {
        reportUncaught(error)
      }
    }
  }
}

function reportUncaught(error: unknown): void {
  const report = globalThis.reportError as typeof globalThis.reportError | undefined
  if (report !== undefined) report(error)
  else console.error(error)
}
