/** The track of before the page was opened, out of the ground's history. */

import type { TernClient } from "../../client/src";
import { Once } from "../model/once";
import { positionRank } from "../model/position";
import type { Store } from "../model/store";
import { readFix } from "../model/position";
import type { Stream } from "../model/stream";
import type { Vehicle } from "../model/vehicle";

/** How far back the track goes, seconds. */
const LENGTH_S = 3600;
/** About two fixes a bucket at least; more would not show. */
const BUCKETS = 1800;
/** Streams that are better may still appear this long after the first, seconds. */
const SETTLE_S = 1.5;

const loaded = new Once();
const seenSince = new WeakMap<Vehicle, number>();

/** Loads the track of the selected vehicle, once. */
export function loadTrack(store: Store, client: TernClient, now: number): void {
  const vehicle = store.selected;
  if (!vehicle?.fix || store.completeSince === null) return;
  const since = seenSince.get(vehicle) ?? now;
  seenSince.set(vehicle, since);
  if (loaded.has(vehicle) || !store.isOnline || now - since < SETTLE_S) return;
  const stream = best(vehicle);
  if (!stream) return;
  const until = store.completeSince;
  const offsetS = (store.status(vehicle)?.clock_offset_ms ?? 0) / 1e3;
  loaded.begin(vehicle, () => load(vehicle, stream, client, until, offsetS));
}

function best(vehicle: Vehicle): Stream | undefined {
  return [...vehicle.streams.values()]
    .flatMap((stream) => { const rank = positionRank(stream); return rank === null ? [] : [{ stream, rank }]; })
    .sort((a, b) => a.rank - b.rank)[0]?.stream;
}

async function load(vehicle: Vehicle, stream: Stream, client: TernClient, until: number, offsetS: number): Promise<void> {
  const query = {
    vehicle: vehicle.name, streams: [stream.name], fields: ["lat", "lon", "lng", "fix_type"], from: until - LENGTH_S - offsetS,
    to: until - offsetS, buckets: BUCKETS,
  };
  for await (const chunk of client.history(query)) {
    if (chunk.type !== "buckets") continue;
    const { lat, lon, lng, fix_type: fixType } = chunk.fields;
    for (const [i, t] of chunk.t.entries()) {
      const captured = t + chunk.width / 2 + offsetS;
      const lane = (chunk.backlog[i] ?? 0) * 2 > (chunk.count[i] ?? 0) ? "backlog" : "live";
      // Zeros, which stand for no position, would draw the mean away.
      if (lat?.min[i] === 0 || lat?.max[i] === 0) continue;
      const fields = { lat: lat?.mean[i], lon: (lon ?? lng)?.mean[i], fix_type: fixType?.min[i] ?? undefined };
      const fix = readFix(stream, { captured, received: captured, lane, fields });
      if (fix) vehicle.track.add(fix);
    }
  }
}
