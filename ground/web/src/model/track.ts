/** Where a vehicle has been: its fixes in the order of time, thinned, with the gaps that are not filled yet. */

import type { Fix } from "./position";
import { Series } from "./series";

/** Fixes nearer in time than this add nothing to a line on a map, seconds. */
const MIN_STEP_S = 0.45;
/** Two fixes farther apart than this are the ends of a gap, seconds. */
export const GAP_S = 3;
/** 2.5 hours at two fixes a second. */
const MAX_FIXES = 18_000;

/** How a piece of the track came to be known. `gap` is a straight line between the ends of what is missing. */
export type TrackKind = "live" | "backlog" | "gap";

/** A piece of the track, all of one kind. Consecutive pieces share a point. */
export interface TrackPiece {
  kind: TrackKind;
  /** Longitude and latitude, degrees. */
  points: [number, number][];
  /** Capture time of the first and the last point. */
  from: number;
  to: number;
}

export class Track {
  private readonly series = new Series(MAX_FIXES);
  /** Counts changes, for whoever draws it. */
  version = 0;

  /** How many fixes are kept. */
  get length(): number {
    return this.series.length;
  }

  /** Takes a fix in, unless there is one of nearly the same time. */
  add(fix: Fix): void {
    const near = this.series.stretch("lat", fix.captured, fix.captured).times;
    if (near.some((time) => Math.abs(time - fix.captured) < MIN_STEP_S)) return;
    this.series.insert(fix.captured, fix.backlog ? "backlog" : "live", { lat: fix.lat, lon: fix.lon });
    this.version += 1;
  }

  /** The track since `from` in pieces, oldest first. */
  pieces(from = -Infinity): TrackPiece[] {
    const pieces: TrackPiece[] = [];
    let last: TrackPiece | undefined;
    for (let row = 0; row < this.series.length; row++) {
      const time = this.series.time(row);
      if (time < from) continue;
      const point: [number, number] = [this.series.value("lon", row), this.series.value("lat", row)];
      const kind = this.series.isBacklog(row) ? "backlog" : "live";
      if (!last) {
        last = { kind, points: [point], from: time, to: time };
        pieces.push(last);
        continue;
      }
      const end: [number, number] = last.points.at(-1)!;
      if (time - last.to > GAP_S) {
        pieces.push({ kind: "gap", points: [end, point], from: last.to, to: time });
        last = { kind, points: [point], from: time, to: time };
        pieces.push(last);
      } else if (last.kind === kind) {
        last.points.push(point);
        last.to = time;
      } else {
        last = { kind, points: [end, point], from: last.to, to: time };
        pieces.push(last);
      }
    }
    return pieces;
  }
}
