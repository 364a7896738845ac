/**
 * Where a subscription stands, so that it can go on after a lost connection without loss or repetition.
 *
 * The rules are those of docs/API.md, "Cursors and resume". `cursor` is the place up to which everything came; while a
 * fill is going on it moves with the fill, and `live` with what comes live meanwhile.
 */

import type { ToClient } from "./messages.js";

/** A message of a subscription, as far as its place is concerned. */
type Placed = Pick<Extract<ToClient, { cursor?: unknown }>, "type"> & { cursor?: string | null; phase?: string };

/** What a `resume` carries. */
export interface Place {
  cursor: string;
  live?: string;
}

export class ResumePoint {
  private cursor: string | null = null;
  private live: string | null = null;
  private filling = false;
  /** Records were skipped after the place that is held: it must not move past them. */
  private held = false;

  /** Whether records are known to be missing that the ground may still have. */
  get isIncomplete(): boolean {
    return this.filling || this.held;
  }

  /** Whether a fill is going on. */
  get isFilling(): boolean {
    return this.filling;
  }

  /** What to resume with; `null` when nothing came yet: subscribe instead. */
  place(): Place | null {
    if (this.cursor === null) return null;
    return this.live === null ? { cursor: this.cursor } : { cursor: this.cursor, live: this.live };
  }

  /** A `resume` was sent: a fill begins. */
  resumed(): void {
    this.filling = true;
    this.held = false;
  }

  /** Takes in a message of the subscription, or a `time` with a cursor. */
  take(message: Placed): void {
    if (message.phase === "fill") {
      if (message.cursor) this.cursor = message.cursor;
      return;
    }
    if (!message.cursor || this.held || message.phase === "snapshot") return;
    if (this.filling) {
      // Until `ready`, what comes is the snapshot.
      if (message.type === "ready" || this.live !== null) this.live = message.cursor;
    } else {
      this.cursor = message.cursor;
    }
  }

  /** The fill is complete up to `cursor`; live went on beyond it. */
  filled(cursor: string): void {
    this.cursor = this.live ?? cursor;
    this.endFill();
  }

  /** The ground does not know the cursor: everything before now is out of reach. */
  lost(): void {
    if (this.live !== null) this.cursor = this.live;
    this.endFill();
  }

  /** Records after `from` were skipped. */
  missed(from: string | null | undefined): void {
    if (this.held) return;
    if (from) {
      if (this.filling) this.live = from;
      else this.cursor = from;
    }
    this.held = true;
  }

  private endFill(): void {
    this.filling = false;
    this.live = null;
  }
}
