/** Which records came lately: a ground that was killed may publish its last ones a second time. */

import type { RecordMessage } from "./types.js";

/** Remembers the last `max` records by their names. */
export class SeenRecords {
  private readonly names = new Set<string>();

  constructor(private readonly max = 16_384) {}

  /** Takes a record in; returns whether it is new. */
  add(record: Pick<RecordMessage, "vehicle" | "epoch" | "seq">): boolean {
    const name = `${record.vehicle} ${record.epoch} ${record.seq}`;
    if (this.names.has(name)) return false;
    this.names.add(name);
    if (this.names.size > this.max) {
      for (const oldest of this.names) {
        this.names.delete(oldest);
        break;
      }
    }
    return true;
  }
}
