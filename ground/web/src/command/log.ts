/** What became of commands: their states in words, and how much of their time is left. */

/** `queued -> sent -> at-vehicle -> accepted -> done`, and where that ends early. */
export type CommandState =
  | "queued" | "sent" | "at-vehicle" | "accepted" | "rejected" | "failed" | "done" | "expired" | "cancelled";

/** One change of state, with whose clock's time it has. */
export interface CommandStep {
  state: CommandState;
  /** Seconds since the Unix epoch. */
  at: number;
  progress?: number | null;
  reason?: string | null;
  detail?: string | null;
}

/** A command as the page knows it. */
export interface CommandEntry {
  id: string;
  vehicle: string;
  /** What it asks for, for people. */
  label: string;
  issuer: string;
  /** Seconds since the Unix epoch by the ground's clock. */
  issued: number;
  ttlS: number;
  steps: CommandStep[];
}

/** How a state is to be seen. */
export type CommandLevel = "waiting" | "good" | "bad";

const WORDS: Record<CommandState, string> = {
  queued: "Waiting at the ground", sent: "On its way", "at-vehicle": "At the vehicle", accepted: "Accepted", rejected: "Rejected",
  failed: "Failed", done: "Done", expired: "Expired", cancelled: "Cancelled",
};
const FINAL: readonly CommandState[] = ["rejected", "failed", "done", "expired", "cancelled"];
/** The states of a command that goes well. */
export const PATH: readonly CommandState[] = ["queued", "sent", "at-vehicle", "accepted", "done"];

/** The state that a command is in; `queued` before the first word of it. */
export function stateOf(entry: CommandEntry): CommandState {
  return entry.steps.at(-1)?.state ?? "queued";
}

/** Whether nothing follows. */
export function isFinal(entry: CommandEntry): boolean {
  return FINAL.includes(stateOf(entry));
}

/** How the state is to be seen. */
export function levelOf(entry: CommandEntry): CommandLevel {
  const state = stateOf(entry);
  if (state === "done") return "good";
  return FINAL.includes(state) ? "bad" : "waiting";
}

/** The state in words, with the reason where there is one. */
export function stateText(entry: CommandEntry): string {
  const step = entry.steps.at(-1);
  const words = WORDS[stateOf(entry)];
  const why = step?.detail || step?.reason?.replaceAll("-", " ");
  const progress = step?.progress != null && !isFinal(entry) ? `, ${step.progress} %` : "";
  return why ? `${words}${progress}: ${why}` : words + progress;
}

/** Seconds in which it may still begin; `null` once it has, or never will. */
export function secondsLeft(entry: CommandEntry, now: number): number | null {
  const begun = entry.steps.some(({ state }) => state === "accepted");
  return begun || isFinal(entry) ? null : Math.max(0, entry.issued + entry.ttlS - now);
}

/** How far on its path a command got, 0 to 4. */
export function progressOf(entry: CommandEntry): number {
  return Math.max(0, ...entry.steps.map(({ state }) => PATH.indexOf(state)));
}

/** The commands that are shown, newest first. Bounded. */
export class CommandLog {
  readonly entries: CommandEntry[] = [];
  version = 0;

  constructor(private readonly max = 50) {}

  /** Takes in what is known of a command; replaces what was known before. */
  take(entry: CommandEntry): void {
    const at = this.entries.findIndex(({ id }) => id === entry.id);
    if (at >= 0) {
      this.entries[at] = { ...entry, label: entry.label || this.entries[at]!.label };
    } else {
      this.entries.push(entry);
      this.entries.sort((a, b) => b.issued - a.issued);
      this.entries.length = Math.min(this.entries.length, this.max);
    }
    this.version += 1;
  }

  /** The newest command of a label on a vehicle that is not over. */
  pending(vehicle: string, label: string): CommandEntry | undefined {
    return this.entries.find((entry) => entry.vehicle === vehicle && entry.label === label && !isFinal(entry));
  }
}
