/** What became of commands: their states in words, and how much of their time is left. */

import type { CommandStatus } from "../../client/src";

/** How a state is to be seen. */
export type CommandLevel = "waiting" | "good" | "bad";

type State = CommandStatus["state"];

const WORDS: Record<State, string> = {
  queued: "Waiting at the ground", sent: "On its way", "at-vehicle": "At the vehicle", accepted: "Accepted", rejected: "Rejected",
  failed: "Failed", done: "Done", expired: "Expired", cancelled: "Cancelled",
};
const FINAL: readonly State[] = ["rejected", "failed", "done", "expired", "cancelled"];
/** The states of a command that goes well. */
export const PATH: readonly State[] = ["queued", "sent", "at-vehicle", "accepted", "done"];
const NAMES: Record<string, string> = {
  arm: "Arm", disarm: "Disarm", rtl: "Return to launch", land: "Land", mode: "Mode", takeoff: "Take off", reposition: "Go to",
};

/** Whether nothing follows. */
export function isFinal({ state }: CommandStatus): boolean {
  return FINAL.includes(state);
}

/** How the state is to be seen. */
export function levelOf({ state }: CommandStatus): CommandLevel {
  if (state === "done") return "good";
  return FINAL.includes(state) ? "bad" : "waiting";
}

/** The state in words, with the reason where there is one. */
export function stateText(command: CommandStatus): string {
  const step = command.steps.at(-1);
  const why = step?.detail || step?.reason?.replaceAll("-", " ");
  const progress = step?.progress != null && !isFinal(command) ? `, ${step.progress} %` : "";
  const words = WORDS[command.state] + progress;
  return why ? `${words}: ${why}` : words;
}

/** Seconds in which it may still begin; `null` once it has, or never will. */
export function secondsLeft(command: CommandStatus, now: number): number | null {
  const begun = command.steps.some(({ state }) => state === "accepted");
  return begun || isFinal(command) ? null : Math.max(0, command.expires - now);
}

/** How far on its path a command got, 0 to 4. */
export function progressOf({ steps }: CommandStatus): number {
  return Math.max(0, ...steps.map(({ state }) => PATH.indexOf(state)));
}

/** What a command asks for, for people. */
export function actionText(action: Record<string, unknown>): string {
  const { kind, name, device, command, arguments: given } = action;
  if (kind === "device") {
    const on = (given as { on?: unknown } | undefined)?.on;
    if (command === "switch" && typeof on === "boolean") return `${String(device)} ${on ? "on" : "off"}`;
    return `${String(device)}: ${String(command)}`;
  }
  const known = String(name ?? kind ?? "");
  return NAMES[known] ?? (known && known !== "mavlink" ? known.replaceAll("-", " ") : `MAV_CMD ${String(command)}`);
}

/** The commands that are shown, newest first. Bounded. */
export class CommandLog {
  readonly entries: CommandStatus[] = [];
  version = 0;

  constructor(private readonly max = 50) {}

  /** Takes in what is known of a command; replaces what was known before. */
  take(command: CommandStatus): void {
    const at = this.entries.findIndex(({ id }) => id === command.id);
    if (at >= 0) {
      this.entries[at] = command;
    } else {
      this.entries.push(command);
      this.entries.sort((a, b) => b.issued - a.issued);
      this.entries.length = Math.min(this.entries.length, this.max);
    }
    this.version += 1;
  }

  /** The newest command of a vehicle with a supersede key. */
  newest(vehicle: string, key: string): CommandStatus | undefined {
    return this.entries.find((entry) => entry.vehicle === vehicle && entry.key === key);
  }
}
