/** What the vehicle said before the page was opened, out of the ground's history. */

import type { TernClient } from "../../client/src";
import { Once } from "../model/once";
import type { Store } from "../model/store";
import type { Vehicle } from "../model/vehicle";

/** How far back, seconds. */
const LENGTH_S = 3600;
const STREAMS = "mavlink/*/STATUSTEXT";

const loaded = new Once();

/** Loads the status texts of the selected vehicle, once. */
export function loadTexts(store: Store, client: Pick<TernClient, "history">): void {
  const { selected: vehicle, completeSince: until } = store;
  if (!vehicle || until === null || !store.isOnline || loaded.has(vehicle)) return;
  const offsetS = (store.status(vehicle)?.clock_offset_ms ?? 0) / 1e3;
  loaded.begin(vehicle, () => load(vehicle, client, until, offsetS));
}

async function load(vehicle: Vehicle, client: Pick<TernClient, "history">, until: number, offsetS: number): Promise<void> {
  const query = { vehicle: vehicle.name, streams: [STREAMS], from: until - LENGTH_S - offsetS, to: until - offsetS };
  for await (const chunk of client.history(query)) {
    if (chunk.type !== "records") continue;
    for (const { t, lane, fields } of chunk.records) vehicle.takeStatusText({ captured: t + offsetS, lane, fields });
  }
}
