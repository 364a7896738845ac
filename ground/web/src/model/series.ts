/**
 * The samples of one stream, sorted by capture time, each number of a sample in a column of its own.
 *
 * Samples come in order, but for those that fill a gap, which are put where they belong. Bounded: when `maxRows` are
 * there, the oldest eighth goes; what is older is asked of the ground's history.
 */

import type { Lane } from "./lane";

const INITIAL_ROWS = 256;
/** No stream has more numeric fields that somebody plots; the rest are shown as newest values only. */
const MAX_COLUMNS = 64;

/** Columns of a stretch of time; `values[i]` and `backlog[i]` belong to `times[i]`. */
export interface Stretch {
  /** Capture times, seconds since the Unix epoch by the ground's clock. */
  times: Float64Array;
  /** NaN where a sample lacks the field. */
  values: Float64Array;
  /** 1 where the sample came from the backlog. */
  backlog: Uint8Array;
}

export class Series {
  private rows = 0;
  private times = new Float64Array(INITIAL_ROWS);
  private backlog = new Uint8Array(INITIAL_ROWS);
  private readonly columns = new Map<string, Float64Array>();

  constructor(private readonly maxRows = 8192) {}

  /** How many samples there are. */
  get length(): number {
    return this.rows;
  }

  /** Capture time of the oldest sample; `null` when there is none. */
  get first(): number | null {
    return this.rows > 0 ? this.times[0]! : null;
  }

  /** Capture time of the newest sample; `null` when there is none. */
  get last(): number | null {
    return this.rows > 0 ? this.times[this.rows - 1]! : null;
  }

  /** The names of all fields that ever were numbers. */
  get fields(): string[] {
    return [...this.columns.keys()];
  }

  /** Capture time of sample `row`. */
  time(row: number): number {
    return this.times[row] ?? NaN;
  }

  /** Field `name` of sample `row`. */
  value(name: string, row: number): number {
    return row < this.rows ? (this.columns.get(name)?.[row] ?? NaN) : NaN;
  }

  /** Whether sample `row` came from the backlog. */
  isBacklog(row: number): boolean {
    return this.backlog[row] === 1;
  }

  /** Takes a sample in. One of the very same time replaces what is there. */
  insert(time: number, lane: Lane, fields: Record<string, unknown>): void {
    let row = this.firstAfter(time);
    if (row === 0 || this.times[row - 1] !== time) {
      if (this.rows >= this.maxRows) {
        // Older than everything that is kept: it would be the first to go.
        if (row === 0) return;
        row -= this.dropOldest();
      }
      this.makeRoom(row);
    } else {
      row -= 1;
    }
    this.times[row] = time;
    this.backlog[row] = lane === "backlog" ? 1 : 0;
    for (const column of this.columns.values()) column[row] = NaN;
    for (const name in fields) {
      const value = toNumber(fields[name]);
      if (value !== null) this.column(name)?.fill(value, row, row + 1);
    }
  }

  /** The samples of a field from the last one at or before `from` to the first one at or after `to`. */
  stretch(name: string, from: number, to: number): Stretch {
    const start = Math.max(0, this.firstAfter(from) - 1);
    const end = Math.min(this.rows, this.firstAfter(to) + 1);
    const column = this.columns.get(name);
    return {
      times: this.times.slice(start, end),
      values: column ? column.slice(start, end) : new Float64Array(end - start).fill(NaN),
      backlog: this.backlog.slice(start, end),
    };
  }

  /** Index of the first sample after `time`. */
  private firstAfter(time: number): number {
    // Nearly every sample is the newest.
    if (this.rows === 0 || this.times[this.rows - 1]! <= time) return this.rows;
    let [low, high] = [0, this.rows];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle]! <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private makeRoom(row: number): void {
    if (this.rows === this.times.length) this.grow();
    this.times.copyWithin(row + 1, row, this.rows);
    this.backlog.copyWithin(row + 1, row, this.rows);
    for (const column of this.columns.values()) column.copyWithin(row + 1, row, this.rows);
    this.rows += 1;
  }

  private grow(): void {
    const capacity = Math.min(this.maxRows, this.times.length * 2);
    this.times = grown(this.times, capacity);
    const backlog = new Uint8Array(capacity);
    backlog.set(this.backlog);
    this.backlog = backlog;
    for (const [name, column] of this.columns) this.columns.set(name, grown(column, capacity));
  }

  /** Drops the oldest samples; returns how many. */
  private dropOldest(): number {
    const dropped = Math.max(1, this.maxRows >> 3);
    this.times.copyWithin(0, dropped, this.rows);
    this.backlog.copyWithin(0, dropped, this.rows);
    for (const column of this.columns.values()) column.copyWithin(0, dropped, this.rows);
    this.rows -= dropped;
    return dropped;
  }

  private column(name: string): Float64Array | undefined {
    let column = this.columns.get(name);
    if (!column && this.columns.size < MAX_COLUMNS) {
      column = new Float64Array(this.times.length).fill(NaN);
      this.columns.set(name, column);
    }
    return column;
  }
}

function grown(column: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(capacity).fill(NaN);
  larger.set(column);
  return larger;
}

/** A field as a number to plot; `null` for what is none. */
function toNumber(value: unknown): number | null {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return null;
}
