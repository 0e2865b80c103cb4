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

  protected emit<K extends keyof Events>(event: K, value: Events[K]): void {
    for (const listener of [...(this.listeners.get(event) ?? [])]) {
      ;(listener as Listener<Events[K]>)(value)
    }
  }

  protected removeAll(): void {
    this.listeners.clear()
  }
}
