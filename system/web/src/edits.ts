/** Edits on their way: kept until the project's log has them, so that none is lost. */

/** More than anybody makes while a connection is replaced. */
export const MAX_EDITS = 256

export class EditBook {
  private readonly waiting = new Map<string, string>()

  /** False where too many are waiting already. */
  add(editId: string, text: string): boolean {
    if (this.waiting.size >= MAX_EDITS) return false
    this.waiting.set(editId, text)
    return true
  }

  /** The log has it, or refused it: either way it is not sent again. */
  settle(editId: string): void {
    this.waiting.delete(editId)
  }

  /** What has to be sent again on a fresh connection, oldest first. */
  outstanding(): string[] {
    return [...this.waiting.values()]
  }

  clear(): void {
    this.waiting.clear()
  }
}
