/** The messages of the API by name, out of the generated union of them. */

import type { ToClient } from "./messages.js";

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
