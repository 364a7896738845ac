/** Commands to an autopilot. Nobody wants one by mistake: each is asked for twice. */

import type { CommandAction } from "../../client/src";
import { modesOf, type ModeTable } from "../model/modes";
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
  private readonly set: HTMLButtonElement;
  private readonly modes = el("select", { id: "mode", "aria-label": "Mode" });
  private readonly buttons: HTMLButtonElement[];
  private armed = false;
  private vehicle: Vehicle | null = null;
  private table: ModeTable = "";

  constructor(private readonly send: Commander) {
    this.arm = confirmed(() => (this.armed ? "Disarm" : "Arm"), () =>
      this.send({ kind: this.armed ? "disarm" : "arm" }, "autopilot.arm"));
    const home = confirmed(() => "Return to launch", () => this.send({ kind: "rtl" }, "autopilot.mode"));
    this.land = confirmed(() => "Land here", () => this.send({ kind: "land" }, "autopilot.mode"));
    this.set = confirmed(() => "Set", () => {
      this.send({ kind: "mode", mode: Number(this.modes.value) }, "autopilot.mode");
      this.modes.value = "";
      this.set.disabled = true;
    });
    this.modes.addEventListener("change", () => unpress(this.set));
    this.buttons = [this.arm, home, this.land, this.set];
    this.element = el("div.autopilot", { hidden: true }, el("h3", {}, "Autopilot"),
      el("div.commands", {}, home, this.land, this.arm),
      el("div.mode-choice", {}, el("label", { for: "mode" }, "Mode"), this.modes, this.set));
  }

  draw(vehicle: Vehicle, mayCommand: boolean): void {
    const { heartbeat } = vehicle;
    setAttribute(this.element, "hidden", heartbeat ? null : "");
    if (!heartbeat) return;
    // What was begun for one vehicle must not be done to another.
    if (this.vehicle !== vehicle || this.table !== heartbeat.table) {
      this.vehicle = vehicle;
      this.table = heartbeat.table;
      this.offerModes();
      this.buttons.forEach(unpress);
    }
    if (this.armed !== heartbeat.armed) {
      this.armed = heartbeat.armed;
      unpress(this.arm);
    }
    setAttribute(this.land, "hidden", heartbeat.kind === "rover" ? "" : null);
    for (const each of this.buttons) each.disabled = !mayCommand || (each === this.set && this.modes.value === "");
  }

  /** No mode is chosen at first: the one that stands is told elsewhere, and another is nobody's wish yet. */
  private offerModes(): void {
    const modes = modesOf(this.table);
    this.modes.replaceChildren(el("option", { value: "" }, "Choose mode…"),
      ...modes.map(([number, name]) => el("option", { value: number }, name)));
    setAttribute(this.modes.parentElement!, "hidden", modes.length > 0 ? null : "");
  }
}

/** Takes back the first press of a button that asks once more. */
function unpress(button: HTMLButtonElement): void {
  button.dispatchEvent(new Event("reset"));
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
