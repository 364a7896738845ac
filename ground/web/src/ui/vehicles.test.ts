import { expect, it } from "vitest";
import type { VehicleMessage } from "../../client/src";
import { Store } from "../model/store";
import { linkState } from "./vehicles";

const status = (more: Partial<VehicleMessage> = {}): VehicleMessage => ({
  type: "vehicle", cursor: "c", vehicle: "alpha", connected: true, since: 90, agent: null, epoch: null, last_received: 100,
  clock_offset_ms: null, clock_uncertainty_ms: null, records: 1, backlog_records: 0, lost_records: 0, ...more,
});

it("a vehicle that is connected is silent as soon as its values grey", () => {
  const store = new Store();
  store.isOnline = true;
  store.takeVehicle(status());
  const states = [100.5, 102, 102.1, 107.2].map((now) => linkState(store, store.selected!, now));
  expect(states.map(({ state }) => state)).toEqual(["up", "up", "silent", "silent"]);
  expect(states[3]!.text).toBe("silent 7.2 s");
});

it("a link that is known to be down is not merely silent, and without the ground nothing is known", () => {
  const store = new Store();
  store.isOnline = true;
  store.takeVehicle(status({ connected: false, since: 100 }));
  expect(linkState(store, store.selected!, 130)).toEqual({ state: "down", text: "link down 30 s" });
  store.isOnline = false;
  expect(linkState(store, store.selected!, 130).state).toBe("unknown");
});
