/** Messages of the ground's API (docs/API.md). */

import type { CommandStatus, ControlStatus } from "./command.js";

export type Lane = "live" | "backlog";
export type Class = "critical" | "live" | "bulk";
export type Phase = "snapshot" | "fill";

export interface VehicleStatus {
  connected: boolean;
  since: number | null;
  agent: string | null;
  epoch: string | null;
  last_received: number | null;
  clock_offset_ms: number | null;
  clock_uncertainty_ms: number | null;
  records: number;
  backlog_records: number;
  lost_records: number;
}

export interface HelloMessage { type: "hello"; server_time: number; version: string; auth_required: boolean }
export interface AccessMessage { type: "access"; name: string; view: string[]; command: string[]; expires: number | null }
export interface TimeMessage { type: "time"; server_time: number; cursor?: string }
export interface VehicleMessage extends VehicleStatus { type: "vehicle"; sub?: string; cursor?: string; vehicle: string }
export interface StreamMessage {
  type: "stream"; sub?: string; cursor?: string; vehicle: string; stream: string; class: Class; units: Record<string, string>;
}
export interface RecordFields {
  stream: string; t: number; received: number; clock_offset_ms?: number | null; clock_uncertainty_ms?: number | null;
  lane: Lane; seq: number; epoch: string; fields: Record<string, unknown>;
}
export interface RecordMessage extends RecordFields {
  type: "record"; sub?: string; cursor?: string; phase?: Phase; vehicle: string;
}
export interface ReadyMessage { type: "ready"; sub?: string; server_time: number; cursor?: string }
export interface MissedMessage { type: "missed"; sub?: string; count: number; from?: string }
export interface MissingMessage {
  type: "missing"; sub?: string; reason: "too-old" | "unknown-cursor" | "history-unavailable"; from: number | null; to: number;
  message: string;
}
export interface FilledMessage { type: "filled"; sub?: string; records: number; cursor: string }
export interface UnsubscribedMessage { type: "unsubscribed"; sub?: string }
export interface RecordsMessage { type: "records"; id: string; vehicle: string; records: RecordFields[] }
export interface BucketColumns { min: (number | null)[]; max: (number | null)[]; mean: (number | null)[] }
export interface BucketsMessage {
  type: "buckets"; id: string; vehicle: string; stream: string; width: number; t: number[]; count: number[];
  backlog: number[]; fields: Record<string, BucketColumns>;
}
export interface HistoryEndMessage {
  type: "history-end"; id: string; records: number; next: string | null; error: { code: string; message: string } | null;
}
export interface ErrorMessage { type: "error"; code: string; message: string; id?: string }

export type ToClient =
  | HelloMessage | AccessMessage | TimeMessage | VehicleMessage | StreamMessage | RecordMessage | ReadyMessage | MissedMessage
  | MissingMessage | FilledMessage | UnsubscribedMessage | RecordsMessage | BucketsMessage | HistoryEndMessage | ErrorMessage
  | ({ type: "command" } & CommandStatus) | ({ type: "control" } & ControlStatus);
