/** What the selected vehicle says of itself now: mode, attitude, and the readings an operator flies by. */

import { Horizon } from "../attitude/horizon";
import { bearingDeg, distanceM, distanceText } from "../model/geo";
import type { ReadingName } from "../model/readings";
import type { Store } from "../model/store";
import { numberText } from "../model/units";
import type { Vehicle } from "../model/vehicle";
import { Aged, paintAge } from "./aged";
import { el, setAttribute, setText } from "./dom";
import { OwnValues } from "./own";

const READINGS: readonly (readonly [name: ReadingName, label: string, decimals: number])[] = [
  ["altitude", "Altitude", 1], ["speed", "Speed", 1], ["climb", "Climb", 1], ["heading", "Heading", 0],
  ["battery", "Battery", 0], ["voltage", "Voltage", 1], ["satellites", "Satellites", 0], ["throttle", "Throttle", 0],
  ["temperature", "Temperature", 1], ["humidity", "Humidity", 0], ["acceleration", "Acceleration", 2],
];

export class ReadingsPanel {
  readonly element: HTMLElement;
  private readonly horizon = new Horizon();
  private readonly dial = el("div.dial", {}, this.horizon.element);
  private readonly mode = el("span.mode");
  private readonly armed = el("span.armed");
  private readonly state = el("div.flight-state", {}, this.mode, this.armed);
  private readonly stateAge = el("span.age");
  private readonly home = new Aged("From home", "home");
  private readonly tiles = new Map<ReadingName, Aged>();
  private readonly angles = new Aged("Roll · pitch", "attitude");
  private readonly own: OwnValues;

  constructor(private readonly store: Store) {
    this.own = new OwnValues(store);
    const list = el("dl.readings");
    for (const [name, label] of READINGS) {
      const tile = new Aged(label, name);
      this.tiles.set(name, tile);
      list.append(tile.element);
      if (name === "heading") list.append(this.home.element);
    }
    list.append(this.own.element);
    this.state.append(this.stateAge);
    this.element = el("section.panel.now", { "aria-label": "Vehicle now" },
      el("div.attitude", {}, this.dial, el("div.attitude-side", {}, this.state, el("dl", {}, this.angles.element))),
      list);
  }

  /** Draws everything as of `now`, by the ground's clock. */
  draw(now: number): void {
    const vehicle = this.store.selected;
    if (!vehicle) return;
    this.drawState(vehicle, now);
    this.drawAttitude(vehicle, now);
    this.drawHome(vehicle, now);
    this.own.draw(vehicle, now);
    for (const [name, , decimals] of READINGS) {
      const tile = this.tiles.get(name)!;
      const reading = vehicle.reading(name, now);
      setAttribute(tile.element, "hidden", reading ? null : "");
      if (reading) {
        tile.show(numberText(reading.value, decimals), reading.unit, reading.captured, now, this.store.isOnline);
      }
    }
  }

  private drawState(vehicle: Vehicle, now: number): void {
    const { heartbeat } = vehicle;
    setText(this.mode, heartbeat ? heartbeat.mode : "No autopilot");
    setText(this.armed, heartbeat ? (heartbeat.armed ? "Armed" : "Disarmed") : "");
    setAttribute(this.armed, "data-armed", heartbeat ? String(heartbeat.armed) : null);
    if (!heartbeat) {
      setText(this.stateAge, "");
      setAttribute(this.state, "data-age", null);
      return;
    }
    paintAge(this.state, now - heartbeat.captured, this.store.isOnline);
    setText(this.stateAge, `${Math.max(0, now - heartbeat.captured).toFixed(0)} s`);
  }

  private drawAttitude(vehicle: Vehicle, now: number): void {
    const [roll, pitch] = [vehicle.reading("roll", now), vehicle.reading("pitch", now)];
    this.horizon.draw(roll?.value ?? null, pitch?.value ?? null);
    for (const part of [this.dial, this.angles.element]) setAttribute(part, "hidden", roll && pitch ? null : "");
    if (roll && pitch) {
      paintAge(this.dial, now - roll.captured, this.store.isOnline);
      const text = `${numberText(roll.value, 0)}° · ${numberText(pitch.value, 0)}°`;
      this.angles.show(text, "", roll.captured, now, this.store.isOnline);
    }
  }

  private drawHome(vehicle: Vehicle, now: number): void {
    const { fix, home } = vehicle;
    setAttribute(this.home.element, "hidden", fix && home ? null : "");
    if (!fix || !home) return;
    const metres = distanceM(home, fix);
    const { text, unit } = distanceText(metres);
    const bearing = metres > 5 ? ` ${bearingDeg(home, fix).toFixed(0)}°` : "";
    this.home.show(text, unit + bearing, fix.captured, now, this.store.isOnline);
  }
}
