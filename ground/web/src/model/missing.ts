/**
 * What is still missing of a vehicle, by the sequence numbers of what came.
 *
 * Numbers count records without a hole, so a hole between two that came is a record that is waiting on the vehicle, on
 * its way, or lost. A restart of the vehicle leaves a block of 2^32 numbers unused, which is no record.
 */

/** Holes as large are no records. */
const UNUSED_BLOCK = 2 ** 31;
/** Oldest holes are given up beyond so many. */
const MAX_RANGES = 4096;
/** The rate of filling is taken over this long, seconds. */
const RATE_WINDOW_S = 10;

/** Numbers `start` to `end`, exclusive. */
interface Range {
  start: number;
  end: number;
}

export class MissingRecords {
  private epoch: string | null = null;
  private readonly ranges: Range[] = [];
  private filled: { time: number; count: number }[] = [];

  /** Takes in that a record came at `received`. */
  add(epoch: string, seq: number, received: number): void {
    if (epoch !== this.epoch) {
      this.epoch = epoch;
      this.ranges.length = 0;
      this.filled = [];
    }
    const last = this.ranges.at(-1);
    if (last && seq === last.end) {
      last.end += 1;
      return;
    }
    const at = this.firstEndingAtOrAfter(seq);
    const range = this.ranges[at];
    if (range && seq >= range.start && seq < range.end) return;
    const isFill = at < this.ranges.length && this.ranges.length > 0 && (at > 0 || range!.start > seq);
    // What is older than the first that came here is none of the holes.
    if (isFill && at === 0 && range!.start > seq) return;
    if (isFill) this.countFilled(received);
    this.insert(at, seq);
    if (this.ranges.length > MAX_RANGES) this.ranges.splice(0, 2, { start: this.ranges[0]!.start, end: this.ranges[1]!.end });
  }

  /** How many records are missing between the first and the newest that came. */
  get count(): number {
    let count = 0;
    for (let i = 1; i < this.ranges.length; i++) {
      const hole = this.ranges[i]!.start - this.ranges[i - 1]!.end;
      if (hole < UNUSED_BLOCK) count += hole;
    }
    return count;
  }

  /** Records a second with which holes were filled lately. */
  fillRate(now: number): number {
    this.filled = this.filled.filter(({ time }) => time >= now - RATE_WINDOW_S);
    return this.filled.reduce((sum, { count }) => sum + count, 0) / RATE_WINDOW_S;
  }

  private insert(at: number, seq: number): void {
    const [before, after] = [this.ranges[at], this.ranges[at + 1]];
    if (before?.end === seq) {
      before.end += 1;
      if (after?.start === before.end) {
        before.end = after.end;
        this.ranges.splice(at + 1, 1);
      }
    } else if (before?.start === seq + 1) {
      before.start = seq;
    } else {
      this.ranges.splice(at, 0, { start: seq, end: seq + 1 });
    }
  }

  private firstEndingAtOrAfter(seq: number): number {
    let [low, high] = [0, this.ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ranges[middle]!.end < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private countFilled(time: number): void {
    const last = this.filled.at(-1);
    if (last && time - last.time < 0.5) last.count += 1;
    else this.filled.push({ time, count: 1 });
  }
}
