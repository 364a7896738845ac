/** Commands to vehicles, as they are asked for. */

import type { CommandOperation, CommandStatus, StepStatus } from "./messages.js";

/** A command as it is asked for: what to do, for how long it may wait, and which older ones it cancels. */
export type CommandRequest = Pick<CommandOperation, "action" | "ttl_ms" | "key">;
/** What to do. */
export type CommandAction = CommandOperation["action"];
/** Where a command is. */
export type CommandState = CommandStatus["state"];
/** One change of a command's state. */
export type CommandStep = StepStatus;

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
