/** Where a vehicle is, by whatever stream says it best. */

import type { Place } from "./geo";
import type { Sample, Stream } from "./stream";

/** A place with what tells its age. */
export interface Fix extends Place {
  /** Capture time by the ground's clock, seconds since the Unix epoch. */
  captured: number;
  received: number;
  backlog: boolean;
}

/** MAVLink's GPS_FIX_TYPE_2D_FIX: the least that is a position. */
const FIX_2D = 2;

/** Streams from best to worst, with how many of their units make a degree. */
const STREAMS: readonly (readonly [stream: RegExp, perDegree: number])[] = [
  [/(^|\/)GLOBAL_POSITION_INT$/, 1e7],
  [/(^|\/)GPS_RAW_INT$/, 1e7],
  [/^(?!mavlink\/)/, 1],
];

/** How good a stream is as a source of positions, 0 best; `null` when it is none. */
export function positionRank(stream: Stream): number | null {
  const rank = STREAMS.findIndex(([name]) => name.test(stream.name));
  return rank >= 0 && stream.newest !== null && readFix(stream, stream.newest) !== null ? rank : null;
}

/** The position that a sample tells; `null` when it has none, or says that it knows none. */
export function readFix(stream: Stream, sample: Sample): Fix | null {
  const { lat, lon, lng, latitude, longitude, fix_type: fixType } = sample.fields;
  // Receivers report positions while they look for one.
  if (typeof fixType === "number" && fixType < FIX_2D) return null;
  const [y, x] = [lat ?? latitude, lon ?? lng ?? longitude];
  if (typeof y !== "number" || typeof x !== "number" || (y === 0 && x === 0)) return null;
  const entry = STREAMS.find(([name]) => name.test(stream.name));
  if (!entry) return null;
  const perDegree = stream.unit("lat") === "degE7" ? 1e7 : entry[1];
  const [latDeg, lonDeg] = [y / perDegree, x / perDegree];
  if (!(Math.abs(latDeg) <= 90 && Math.abs(lonDeg) <= 180)) return null;
  return {
    lat: latDeg, lon: lonDeg, captured: sample.captured, received: sample.received, backlog: sample.lane === "backlog",
  };
}
