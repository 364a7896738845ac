/** What a chart draws: columns of one time axis, with the gaps in them. */

import type { Stretch } from "../model/series";

/** Columns as uPlot takes them. `null` breaks a line. */
export interface Columns {
  times: number[];
  live: (number | null)[];
  backlog: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
}

/** History in buckets, times by the ground's clock. */
export interface Buckets {
  width: number;
  times: number[];
  mean: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
  backlog: boolean[];
}

/** A pause longer than so many usual intervals is a gap. */
const GAP_FACTOR = 4;
/** No pause shorter than this is a gap, seconds. */
const MIN_GAP_S = 1.5;

/** Joins history before `joint` with what came since, each value times `factor`. */
export function columnsOf(history: Buckets | null, joint: number, recent: Stretch, factor: number): Columns {
  const columns: Columns = { times: [], live: [], backlog: [], min: [], max: [] };
  // A stream slower than the buckets leaves some of them empty, which is no gap.
  const gap = history ? Math.max(history.width * 1.5, gapOf(history.times)) : 0;
  if (history) appendBuckets(columns, history, joint, gap, factor);
  appendStretch(columns, recent, history ? joint : -Infinity, gap, factor);
  return columns;
}

function appendBuckets(columns: Columns, history: Buckets, joint: number, gap: number, factor: number): void {
  for (const [i, start] of history.times.entries()) {
    if (start >= joint) break;
    breakAfter(columns, start + history.width / 2, gap);
    const [mean, min, max] = [history.mean[i], history.min[i], history.max[i]].map((v) => (v == null ? null : v * factor));
    push(columns, start + history.width / 2, mean ?? null, history.backlog[i] ?? false, min ?? null, max ?? null);
  }
}

/** `seam` is the gap that what comes before allows to its end. */
function appendStretch(columns: Columns, recent: Stretch, from: number, seam: number, factor: number): void {
  const gap = Math.max(MIN_GAP_S, gapOf(recent.times));
  let allowed = Math.max(gap, seam);
  for (const [i, time] of recent.times.entries()) {
    const value = recent.values[i]!;
    if (time < from || Number.isNaN(value)) continue;
    breakAfter(columns, time, allowed);
    allowed = gap;
    const shown = Number.isFinite(value) ? value * factor : null;
    push(columns, time, shown, recent.backlog[i] === 1, shown, shown);
  }
}

function gapOf(times: ArrayLike<number>): number {
  if (times.length < 3) return 0;
  const steps = Float64Array.from({ length: times.length - 1 }, (_, i) => times[i + 1]! - times[i]!).sort();
  return steps[steps.length >> 1]! * GAP_FACTOR;
}

function breakAfter(columns: Columns, time: number, gap: number): void {
  const last = columns.times.at(-1);
  if (last === undefined || time - last <= gap) return;
  columns.times.push((last + time) / 2);
  for (const column of [columns.live, columns.backlog, columns.min, columns.max]) column.push(null);
}

function push(
  columns: Columns, time: number, value: number | null, isBacklog: boolean, min: number | null, max: number | null,
): void {
  const row = columns.times.length;
  const [own, other] = isBacklog ? [columns.backlog, columns.live] : [columns.live, columns.backlog];
  // The two lines touch where one follows on the other.
  if (row > 0 && own[row - 1] === null && other[row - 1] !== null) own[row - 1] = other[row - 1]!;
  columns.times.push(time);
  own.push(value);
  other.push(null);
  columns.min.push(min);
  columns.max.push(max);
}
