/** The list of vehicles, each with the state of its link and the age of what was last heard of it. */

import { FRESH_S, agoText, spanText } from "../model/age";
import type { Store } from "../model/store";
import type { Vehicle } from "../model/vehicle";
import { button, el, setAttribute, setText } from "./dom";

/** What is known of a vehicle's link. */
export type LinkState = "up" | "silent" | "down" | "unknown";

/**
 * The state of a vehicle's link, and since when, in words. One that is connected is called silent as soon as its values
 * grey: a link that has just gone down is not known to be.
 */
export function linkState(store: Store, vehicle: Vehicle, now: number): { state: LinkState; text: string } {
  const status = store.status(vehicle);
  if (!store.isOnline || !status) return { state: "unknown", text: "unknown" };
  const silence = vehicle.lastReceived === null ? 0 : now - vehicle.lastReceived;
  if (!status.connected) {
    return { state: "down", text: status.since === null ? "not connected" : `link down ${spanText(Math.max(0, now - status.since))}` };
  }
  if (silence > FRESH_S) return { state: "silent", text: `silent ${spanText(silence)}` };
  return { state: "up", text: "connected" };
}

interface Row {
  vehicle: Vehicle;
  item: HTMLElement;
  choose: HTMLButtonElement;
  state: HTMLElement;
  facts: HTMLElement;
}

export class VehicleList {
  readonly element: HTMLElement;
  private readonly list = el("ul.vehicles");
  private readonly empty = el("p.quiet", { hidden: "" }, "No vehicle has connected yet.");
  private rows: Row[] = [];
  private version = -1;

  constructor(private readonly store: Store) {
    this.element = el("section.panel.fleet", { "aria-label": "Vehicles" }, el("h2", {}, "Vehicles"), this.list, this.empty);
  }

  /** Selects the vehicle of a digit key; returns whether there is one. */
  onKey(key: string): boolean {
    const row = /^[1-9]$/.test(key) ? this.rows[Number(key) - 1] : undefined;
    if (row) this.choose(row.vehicle);
    return row !== undefined;
  }

  draw(now: number): void {
    if (this.version !== this.store.version) this.rebuild();
    for (const row of this.rows) this.drawRow(row, now);
    // Before the ground has answered, nobody knows.
    setAttribute(this.empty, "hidden", this.store.isOnline && this.rows.length === 0 ? null : "");
  }

  private drawRow({ vehicle, item, choose, state, facts }: Row, now: number): void {
    const link = linkState(this.store, vehicle, now);
    setAttribute(item, "data-link", link.state);
    setText(state, link.text);
    setAttribute(choose, "aria-pressed", String(vehicle === this.store.selected));
    const { heartbeat, lastReceived } = vehicle;
    const parts = [];
    if (heartbeat) parts.push(heartbeat.armed ? `${heartbeat.mode}, armed` : heartbeat.mode);
    if (lastReceived !== null) parts.push(`heard ${agoText(now - lastReceived)}`);
    setText(facts, parts.join(" · "));
  }

  private rebuild(): void {
    this.version = this.store.version;
    const vehicles = [...this.store.vehicles.values()].sort((a, b) => a.name.localeCompare(b.name));
    this.rows = vehicles.map((vehicle) => {
      const known = this.rows.find((row) => row.vehicle === vehicle);
      return known ?? this.row(vehicle);
    });
    this.list.replaceChildren(...this.rows.map((row) => row.item));
  }

  private row(vehicle: Vehicle): Row {
    const [state, facts] = [el("span.link-state"), el("span.facts")];
    const choose = button("", () => this.choose(vehicle), { class: "vehicle" });
    choose.append(el("span.dot"), el("strong", {}, vehicle.name), state, facts);
    return { vehicle, item: el("li", { "data-vehicle": vehicle.name }, choose), choose, state, facts };
  }

  private choose(vehicle: Vehicle): void {
    this.store.chosen = true;
    this.store.select(vehicle);
  }
}
