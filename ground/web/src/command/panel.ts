/** Acting on a vehicle: switches, the autopilot, steering; and what became of each command. */

import { CommandError, type AccessMessage, type CommandRequest, type ControlStatus, type TernClient } from "../../client/src";
import { agoText } from "../model/age";
import type { Store } from "../model/store";
import type { Vehicle } from "../model/vehicle";
import { el, setAttribute, setText } from "../ui/dom";
import { AutopilotCommands } from "./autopilot";
import { CommandLog, PATH, actionText, levelOf, progressOf, secondsLeft, stateText } from "./log";
import { LIFE_MS, SteerPad } from "./steer";
import { DeviceSwitch, switchKey, switchesOf } from "./switches";

/** Until when a command may begin, milliseconds after it was given. */
const TTL_MS = 10_000;
/** No more vehicles are asked for their newest commands. */
const MAX_FOLLOWED = 32;
/** The control that the pad steers; its axes are steering and throttle. */
const CONTROL = "drive";
const MAX_SHOWN = 5;
/** How long a refusal stands there, seconds. */
const PROBLEM_S = 15;

export class CommandPanel {
  readonly element: HTMLElement;
  readonly log = new CommandLog();
  private readonly devices = el("div.devices");
  private readonly autopilot: AutopilotCommands;
  private readonly steer: SteerPad;
  private readonly list = el("ol.command-log", { "aria-label": "Commands, newest first" });
  private readonly note = el("p.note");
  private readonly problem = el("p.problem", { role: "alert", hidden: true });
  private switches: DeviceSwitch[] = [];
  private vehicle: Vehicle | null = null;
  private shownVersion = -1;
  private followed = 0;
  private now = 0;
  private problemSince = 0;
  private access: AccessMessage | null = null;
  private readonly controls = new Map<string, ControlStatus>();

  constructor(private readonly store: Store, private readonly client: TernClient) {
    this.autopilot = new AutopilotCommands((action, key) => this.command({ action, key }));
    this.steer = new SteerPad((values) =>
      this.vehicle !== null && client.setPoint(this.vehicle.name, CONTROL, [...values], LIFE_MS));
    this.element = el("section.panel.command", { "aria-label": "Command" }, el("h2", {}, "Command"), this.note,
      this.devices, this.autopilot.element, this.problem, this.list, this.steer.element);
  }

  /** What this client may do. */
  setAccess(access: AccessMessage): void {
    this.access = access;
  }

  /** Something that was asked for was refused. */
  setProblem(message: string): void {
    setText(this.problem, `${message.charAt(0).toUpperCase()}${message.slice(1)}.`);
    setAttribute(this.problem, "hidden", null);
    this.problemSince = this.now;
  }

  /** What a control does. */
  takeControl(status: ControlStatus): void {
    this.controls.set(`${status.vehicle} ${status.control}`, status);
  }

  draw(now: number): void {
    const vehicle = this.store.selected;
    this.now = now;
    if (now - this.problemSince > PROBLEM_S) setAttribute(this.problem, "hidden", "");
    if (!vehicle) return;
    this.follow();
    if (vehicle !== this.vehicle) {
      this.steer.release();
      this.vehicle = vehicle;
      this.shownVersion = -1;
    }
    const mayCommand = this.store.isOnline && mayCommandVehicle(this.access, vehicle.name);
    this.drawDevices(vehicle, now, mayCommand);
    this.autopilot.draw(vehicle, mayCommand);
    const steered = isSteered(vehicle);
    setAttribute(this.steer.element, "hidden", steered && mayCommand ? null : "");
    if (steered) this.steer.setStatus(this.controls.get(`${vehicle.name} ${CONTROL}`) ?? null);
    setText(this.note, mayCommand ? "" : this.store.isOnline ? "Your token shows this vehicle, and commands nothing." : "");
    this.drawLog(vehicle, now);
  }

  /** Follows all vehicles; those that are known by name tell their newest commands first. */
  private follow(): void {
    const names = [...this.store.vehicles.keys()].slice(0, MAX_FOLLOWED);
    if (names.length === this.followed) return;
    this.followed = names.length;
    this.client.followCommands([...names, "*"]);
  }

  private command(request: CommandRequest): void {
    if (!this.vehicle) return;
    setAttribute(this.problem, "hidden", "");
    this.client.command(this.vehicle.name, { ttl_ms: TTL_MS, ...request }).catch((error: unknown) => {
      if (!(error instanceof CommandError)) throw error;
      this.setProblem(`not sent: ${error.message}`);
    });
  }

  private drawDevices(vehicle: Vehicle, now: number, mayCommand: boolean): void {
    const streams = switchesOf(vehicle);
    if (streams.length !== this.switches.length || streams.some((stream, i) => this.switches[i]!.stream !== stream)) {
      this.switches = streams.map((stream) => new DeviceSwitch(stream, (device, on) => this.command({
        action: { kind: "device", device, command: "switch", arguments: { on } }, key: switchKey(device),
      })));
      this.devices.replaceChildren(...this.switches.map(({ element }) => element));
    }
    for (const each of this.switches) each.draw(vehicle, this.log, now, this.store.isOnline, mayCommand);
  }

  private drawLog(vehicle: Vehicle, now: number): void {
    // A second is fine enough for countdowns and ages.
    const version = this.log.version * 1e7 + Math.floor(now % 1e6);
    if (version === this.shownVersion) return;
    this.shownVersion = version;
    const entries = this.log.entries.filter((entry) => entry.vehicle === vehicle.name).slice(0, MAX_SHOWN);
    this.list.replaceChildren(...entries.map((entry) => {
      const left = secondsLeft(entry, now);
      const steps = PATH.map((_, i) => el("i", { "data-passed": String(i <= progressOf(entry)) }));
      return el("li", { "data-level": levelOf(entry), "data-state": entry.state },
        el("div", {}, el("strong", {}, actionText(entry.action)),
          el("span.age", {}, left === null ? agoText(now - entry.issued) : `${Math.ceil(left)} s left`)),
        el("div.path", { "aria-hidden": "true" }, ...steps), el("span.state", {}, stateText(entry)));
    }));
  }
}

/** Whether a vehicle has something to drive. */
function isSteered(vehicle: Vehicle): boolean {
  return vehicle.heartbeat?.kind === "rover" || [...vehicle.streams.keys()].some((name) => /^(rover|drive)\b/.test(name));
}

/** Whether a client may command a vehicle; patterns have `*` for any characters. */
export function mayCommandVehicle(access: Pick<AccessMessage, "command"> | null, vehicle: string): boolean {
  return access?.command.some((pattern) => {
    const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`).test(vehicle);
  }) ?? false;
}
