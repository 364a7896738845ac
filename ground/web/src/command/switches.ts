/** Switches of devices that say in telemetry whether they are on. */

import { ageText } from "../model/age";
import type { Stream } from "../model/stream";
import type { Vehicle } from "../model/vehicle";
import { paintAge } from "../ui/aged";
import { button, el, setAttribute, setText } from "../ui/dom";
import { isFinal, levelOf, secondsLeft, stateText, type CommandLog } from "./log";

/** Switches a device. */
export type Switcher = (device: string, on: boolean) => void;

/** The streams that are switches: of a device, with a field `on`. */
export function switchesOf(vehicle: Vehicle): Stream[] {
  return [...vehicle.streams.values()].filter((stream) =>
    !stream.name.startsWith("mavlink/") && typeof stream.value("on") === "boolean");
}

/** The supersede key of a device's switch. */
export function switchKey(device: string): string {
  return `${device}.switch`;
}

export class DeviceSwitch {
  readonly element: HTMLElement;
  private readonly toggle: HTMLButtonElement;
  private readonly state = el("strong");
  private readonly age = el("span.age");
  private readonly pending = el("span.pending", { role: "status" });

  constructor(readonly stream: Stream, onSwitch: Switcher) {
    const { name } = stream;
    this.toggle = button("", () => onSwitch(name, stream.value("on") !== true), { role: "switch", class: "switch", "aria-label": name });
    this.toggle.append(el("span.track", {}, el("span.thumb")));
    this.element = el("div.device", { "data-device": name },
      el("div.device-name", {}, el("h3", {}, name), el("span", {}, this.state, " ", this.age)), this.toggle, this.pending);
  }

  /** Draws what the device says, and what became of the last command, as of `now`. */
  draw(vehicle: Vehicle, log: CommandLog, now: number, isOnline: boolean, mayCommand: boolean): void {
    const on = this.stream.value("on") === true;
    const age = now - (this.stream.newest?.captured ?? now);
    setText(this.state, on ? "On" : "Off");
    setText(this.age, ageText(age));
    paintAge(this.element, age, isOnline);
    setAttribute(this.toggle, "aria-checked", String(on));
    this.toggle.disabled = !mayCommand || !isOnline;
    const last = log.newest(vehicle.name, switchKey(this.stream.name));
    // What is over and well is told by the device itself.
    const isShown = last !== undefined && (!isFinal(last) || (levelOf(last) === "bad" && now - last.issued < 60));
    setAttribute(this.pending, "hidden", isShown ? null : "");
    if (!isShown) return;
    const left = secondsLeft(last, now);
    setText(this.pending, left === null ? stateText(last) : `${stateText(last)} · ${left.toFixed(0)} s left`);
    setAttribute(this.pending, "data-level", levelOf(last));
  }
}
