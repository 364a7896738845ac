/** Commands to an autopilot. Those that nobody wants by mistake are asked for twice. */

import type { CommandAction } from "../../client/src";
import { modesOf } from "../model/modes";
import type { Vehicle } from "../model/vehicle";
import { button, el, setAttribute, setText } from "../ui/dom";

/** How long the second press may take, milliseconds. */
const CONFIRM_MS = 4000;

/** Sends a command; `key` is what it supersedes. */
export type Commander = (action: CommandAction, key: string) => void;

export class AutopilotCommands {
  readonly element: HTMLElement;
  private readonly arm: HTMLButtonElement;
  private readonly land: HTMLButtonElement;
  private readonly modes = el("select", { id: "mode", "aria-label": "Mode" });
  private readonly buttons: HTMLButtonElement[];
  private armed = false;
  private kind = "";

  constructor(private readonly send: Commander) {
    this.arm = confirmed(() => (this.armed ? "Disarm" : "Arm"), () =>
      this.send({ kind: this.armed ? "disarm" : "arm" }, "autopilot.arm"));
    const home = button("Return to launch", () => this.send({ kind: "rtl" }, "autopilot.mode"));
    this.land = confirmed(() => "Land here", () => this.send({ kind: "land" }, "autopilot.mode"));
    const set = button("Set", () => this.send({ kind: "mode", mode: Number(this.modes.value) }, "autopilot.mode"));
    this.buttons = [this.arm, home, this.land, set];
    this.element = el("div.autopilot", {}, el("h3", {}, "Autopilot"),
      el("div.commands", {}, home, this.land, this.arm),
      el("div.mode-choice", {}, el("label", { for: "mode" }, "Mode"), this.modes, set));
  }

  draw(vehicle: Vehicle, mayCommand: boolean): void {
    const { heartbeat } = vehicle;
    setAttribute(this.element, "hidden", heartbeat ? null : "");
    if (!heartbeat) return;
    if (this.armed !== heartbeat.armed || this.arm.textContent === "") {
      this.armed = heartbeat.armed;
      this.arm.dispatchEvent(new Event("reset"));
    }
    if (this.kind !== heartbeat.table) {
      this.kind = heartbeat.table;
      const modes = modesOf(heartbeat.table);
      this.modes.replaceChildren(...modes.map(([number, name]) => el("option", { value: number }, name)));
      this.modes.value = String(heartbeat.number);
      setAttribute(this.modes.parentElement!, "hidden", modes.length > 0 ? null : "");
    }
    setAttribute(this.land, "hidden", heartbeat.kind === "rover" ? "" : null);
    for (const each of this.buttons) each.disabled = !mayCommand;
  }
}

/** A button that asks once more before it does what it says. */
function confirmed(label: () => string, action: () => void): HTMLButtonElement {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const reset = () => {
    clearTimeout(timer);
    timer = undefined;
    setText(made, label());
    setAttribute(made, "data-confirm", null);
  };
  const made = button("", () => {
    if (timer !== undefined) {
      reset();
      action();
      return;
    }
    timer = setTimeout(reset, CONFIRM_MS);
    setText(made, `${label()}: sure?`);
    setAttribute(made, "data-confirm", "");
  });
  made.addEventListener("reset", reset);
  reset();
  return made;
}
