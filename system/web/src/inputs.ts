/** What a viewer does, as messages of the data channels: numbered, and edits kept until answered. */

import { EditBook } from './edits.js'
import { newId } from './ids.js'

/** Both say whether the message could be sent; `seq` is that of an input to be timed. */
export interface InputChannels {
  sendInput(text: string, seq: number): boolean
  sendEdit(text: string, seq?: number): boolean
}

export class Inputs {
  private readonly edits = new EditBook()
  private seq = 0

  constructor(private readonly channels: InputChannels) {}

  /** Lost where it cannot be sent now: later it would be stale. */
  input(type: string, data: unknown): void {
    const seq = ++this.seq
    this.channels.sendInput(JSON.stringify({ type, timestamp: Date.now(), data, seq }), seq)
  }

  /** Kept until acknowledged, and sent again on a fresh connection; false where too many are. */
  edit(type: string, data: unknown): boolean {
    const editId = newId()
    const seq = ++this.seq
    const text = JSON.stringify({ type, timestamp: Date.now(), data, seq, editId })
    if (!this.edits.add(editId, text)) return false
    this.channels.sendEdit(text, seq)
    return true
  }

  /** A fresh connection is there: what was not acknowledged goes again, oldest first. */
  resend(): void {
    for (const text of this.edits.outstanding()) this.channels.sendEdit(text)
  }

  acknowledged(editId: string): void {
    this.edits.settle(editId)
  }

  /** Edits of another project, or of a viewer who has left, are nobody's any more. */
  forget(): void {
    this.edits.clear()
  }
}
