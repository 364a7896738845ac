/** Commands to vehicles, as they are asked for and as what became of them is told. */

/** What to do. */
export type CommandAction =
  | { kind: "arm" | "disarm" | "land" | "rtl" | "mission-start" | "camera-trigger" | "camera-capture-stop"
      | "camera-video-start" | "camera-video-stop" }
  | { kind: "mode"; mode: number }
  | { kind: "takeoff"; altitude_m: number }
  | { kind: "reposition"; latitude: number; longitude: number; altitude_m: number }
  | { kind: "servo"; output: number; pulse_us: number }
  | { kind: "relay"; relay: number; on: boolean }
  | { kind: "camera-capture-start"; interval_s: number; count: number }
  | { kind: "device"; device: string; command: string; arguments?: Record<string, unknown> };

/** A command as it is asked for. */
export interface CommandRequest {
  action: CommandAction;
  /** How long it may take until it begins, milliseconds; 10,000 by default. */
  ttl_ms?: number;
  /** It cancels older commands with the same key that have not begun. */
  key?: string;
}

/** `queued -> sent -> at-vehicle -> accepted -> done`, and where that ends early. */
export type CommandState =
  | "queued" | "sent" | "at-vehicle" | "accepted" | "rejected" | "failed" | "done" | "expired" | "cancelled";

/** One change of a command's state. */
export interface CommandStep {
  state: CommandState;
  /** Seconds since the Unix epoch, by the clock of `by`. */
  t: number;
  by: "ground" | "vehicle";
  /** Percent. */
  progress?: number;
  /** For programs: `not-allowed`, `no-answer`, ... */
  reason?: string;
  /** In the vehicle's words. */
  detail?: string;
}

/** A command and all that is known of it. */
export interface CommandStatus {
  vehicle: string;
  id: string;
  issuer: string;
  /** By the ground's clock, seconds since the Unix epoch. */
  issued: number;
  /** When it must have begun, likewise. */
  expires: number;
  key: string | null;
  action: Record<string, unknown>;
  state: CommandState;
  steps: CommandStep[];
}

/** What a control that follows set-points does. */
export interface ControlStatus {
  vehicle: string;
  control: string;
  state: "active" | "stopped" | "refused";
  /** Since when, by the vehicle's clock. */
  t: number;
  reason?: string;
}

/** Why a command was not taken. */
export class CommandError extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
    this.name = "CommandError";
  }
}

/** A name for a command: 16 hexadecimal digits at random. */
export function commandId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
