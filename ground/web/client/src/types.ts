/** The messages of the API by name, out of the generated union of them. */

import type { CommandRequest, CommandStatus, ControlStatus } from "./command.js";
import type { FromClient, ToClient } from "./messages.js";

/** Every message from the ground. */
export type FromGround =
  | ToClient
  | ({ type: "command" } & CommandStatus)
  | ({ type: "control-state" } & ControlStatus)
  | { type: "commands-missed" };

/** Every message to the ground. */
export type ToGround =
  | FromClient
  | ({ type: "command"; vehicle: string; id: string } & CommandRequest)
  | { type: "control"; vehicle: string; control: string; values: number[]; life_ms: number }
  | { type: "follow-commands"; vehicles: string[] };

type Message<Type extends ToClient["type"]> = Extract<ToClient, { type: Type }>;

export type AccessMessage = Message<"access">;
export type TimeMessage = Message<"time">;
export type VehicleMessage = Message<"vehicle">;
export type StreamMessage = Message<"stream">;
export type RecordMessage = Message<"record">;
export type ReadyMessage = Message<"ready">;
export type MissedMessage = Message<"missed">;
export type MissingMessage = Message<"missing">;
export type FilledMessage = Message<"filled">;
export type RecordsMessage = Message<"records">;
export type BucketsMessage = Message<"buckets">;
export type HistoryEndMessage = Message<"history-end">;
export type ErrorMessage = Message<"error">;
