// Generated from the Rust types (ground/src/publish): TERN_UPDATE=1 cargo test -p tern-ground typescript
// What the messages mean is in docs/API.md.

/** The value of a field: bytes are hexadecimal; NaN and infinities are "NaN", "Infinity" and "-Infinity". */
export type Value = number | string | boolean | null;

/** Where a command is; the last five are final. */
export type CommandState =
  | "queued" | "sent" | "at-vehicle" | "accepted"
  | "rejected" | "failed" | "done" | "expired" | "cancelled";

/** What was asked, as the audit log has it. */
export type ActionStatus =
  | { kind: "mavlink", name: string | null, command: number, params: (number | null)[], system: number, component: number,
      position: { frame: number, x: number, y: number } | null }
  | { kind: "device", device: string, command: string, arguments: { [name: string]: unknown } };

/**
 * To a client. `sub` names the subscription it is of and is left out when that has no name.
 */
export type ToClient = { "type": "hello", 
/**
 * The ground's clock, seconds since the Unix epoch.
 */
server_time: number, 
/**
 * The ground's version.
 */
version: string, 
/**
 * Whether `authenticate` has to come first.
 */
auth_required: boolean, } | { "type": "access", 
/**
 * Who it is taken for.
 */
name: string | null, 
/**
 * Patterns of the vehicles whose telemetry it may see.
 */
view: Array<string>, 
/**
 * Patterns of the vehicles that it may command.
 */
command: Array<string>, 
/**
 * Until when, seconds since the Unix epoch.
 */
expires: number | null, } | { "type": "time", 
/**
 * The ground's clock, seconds since the Unix epoch.
 */
server_time: number, 
/**
 * Everything up to here has been sent; absent while something waits.
 */
cursor?: string, } | { "type": "vehicle", 
/**
 * Of which subscription.
 */
sub?: string, 
/**
 * Everything up to here has been sent.
 */
cursor: string, 
/**
 * Its name.
 */
vehicle: string, 
/**
 * Whether it has a session.
 */
connected: boolean, 
/**
 * Since when it has had one, or none; seconds since the Unix epoch, by the ground's clock.
 */
since: number | null, 
/**
 * Name and version of its edge.
 */
agent: string | null, 
/**
 * The epoch of its last session.
 */
epoch: string | null, 
/**
 * When its last record arrived, seconds since the Unix epoch, by the ground's clock.
 */
last_received: number | null, 
/**
 * Ground time minus vehicle time, milliseconds.
 */
clock_offset_ms: number | null, 
/**
 * The truth is within this of the offset, milliseconds.
 */
clock_uncertainty_ms: number | null, 
/**
 * Records of it that arrived, over all epochs.
 */
records: number, 
/**
 * Of these, how many came from its backlog since this ground started.
 */
backlog_records: number, 
/**
 * Records known to be lost, over all epochs.
 */
lost_records: number, } | { "type": "stream", 
/**
 * Of which subscription.
 */
sub?: string, 
/**
 * Everything up to here has been sent.
 */
cursor: string, 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Its name.
 */
stream: string, 
/**
 * What goes first when the link is short.
 */
class: "critical" | "live" | "bulk", 
/**
 * Unit by field, of the fields that have one.
 */
units: { [key in string]: string }, } | { "type": "record", 
/**
 * Of which subscription.
 */
sub?: string, 
/**
 * How it came from the ground; absent for what the ground has just received.
 */
phase?: Phase, 
/**
 * Everything up to here has been sent.
 */
cursor: string, 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Of which stream.
 */
stream: string, 
/**
 * Capture time by the vehicle's clock, seconds since the Unix epoch.
 */
t: number, 
/**
 * Arrival by the ground's clock, seconds since the Unix epoch.
 */
received: number, 
/**
 * Ground time minus vehicle time when it arrived, milliseconds; `null` until measured.
 */
clock_offset_ms: number | null, 
/**
 * The truth is within this of the offset, milliseconds.
 */
clock_uncertainty_ms: number | null, 
/**
 * How it crossed the satellite link.
 */
lane: "live" | "backlog", 
/**
 * Its sequence number.
 */
seq: number, 
/**
 * The epoch of the sequence number: 16 digits, hexadecimal.
 */
epoch: string, 
/**
 * Its values.
 */
fields: { [field: string]: Value }, } | { "type": "ready", 
/**
 * Of which subscription.
 */
sub?: string, 
/**
 * The ground's clock, seconds since the Unix epoch.
 */
server_time: number, 
/**
 * Everything up to here has been sent.
 */
cursor: string, } | { "type": "unsubscribed", 
/**
 * Of which subscription.
 */
sub?: string, } | { "type": "missed", 
/**
 * Of which subscription.
 */
sub?: string, 
/**
 * How many records were skipped.
 */
count: number, 
/**
 * What to resume from to have them all the same.
 */
from: string, } | { "type": "missing", 
/**
 * Of which subscription.
 */
sub?: string, 
/**
 * Why, for programs.
 */
reason: MissingReason, 
/**
 * Arrival of the first that is missing, seconds since the Unix epoch; `null` when unknown.
 */
from: number | null, 
/**
 * Arrival of the first behind it that is not, seconds since the Unix epoch.
 */
to: number, 
/**
 * Why, for people.
 */
message: string, } | { "type": "filled", 
/**
 * Of which subscription.
 */
sub?: string, 
/**
 * Records of the fill.
 */
records: number, 
/**
 * Nothing is missing up to here.
 */
cursor: string, } | { "type": "records", 
/**
 * The request.
 */
id: string, 
/**
 * Whose.
 */
vehicle: string, 
/**
 * In the order of their sequence numbers.
 */
records: Array<Sample>, } | { "type": "buckets", 
/**
 * The request.
 */
id: string, 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Of which stream.
 */
stream: string, 
/**
 * Of a bucket, seconds.
 */
width: number, 
/**
 * Starts of the buckets, capture time, seconds since the Unix epoch.
 */
t: Array<number>, 
/**
 * Records in them.
 */
count: Array<number>, 
/**
 * Of these, how many came from the backlog.
 */
backlog: Array<number>, 
/**
 * By field.
 */
fields: { [key in string]: BucketColumns }, } | { "type": "history-end", 
/**
 * The request.
 */
id: string, 
/**
 * Records that matched.
 */
records: number, 
/**
 * What to give as `after` to go on, when the limit was reached.
 */
next: string | null, 
/**
 * Why it ended early.
 */
error: Problem | null, } | { "type": "error", 
/**
 * The `id` of what was refused, when it had one.
 */
id?: string, 
/**
 * For programs.
 */
code: ErrorCode, 
/**
 * For people.
 */
message: string, } | { "type": "command", 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Its name.
 */
id: string, 
/**
 * Who asked.
 */
issuer: string, 
/**
 * When, by the ground's clock, seconds since the Unix epoch.
 */
issued: number, 
/**
 * When it must have begun, by the ground's clock.
 */
expires: number, 
/**
 * Its supersede key.
 */
key: string | null, 
/**
 * What was asked.
 */
action: ActionStatus, 
/**
 * Where it is.
 */
state: CommandState, 
/**
 * What became of it, oldest first.
 */
steps: Array<StepStatus>, } | { "type": "control-state", 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Which.
 */
control: string, 
/**
 * What it does.
 */
state: "active" | "stopped" | "refused", 
/**
 * Since when, by the vehicle's clock, seconds since the Unix epoch.
 */
t: number, 
/**
 * Why.
 */
reason?: string, } | { "type": "commands-missed", };

/**
 * From a client.
 */
export type FromClient = { "type": "authenticate", 
/**
 * The token.
 */
token: string, } | { "type": "subscribe" } & Subscribe | { "type": "resume" } & Resume | { "type": "unsubscribe", 
/**
 * Which.
 */
id: string, } | { "type": "history" } & HistoryRequest | { "type": "cancel", 
/**
 * Which.
 */
id: string, } | { "type": "command" } & CommandOperation | { "type": "cancel-command", 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Which.
 */
id: string, } | { "type": "control" } & ControlOperation | { "type": "follow-commands", 
/**
 * Patterns of vehicle names. Of vehicles that are named without `*`, the newest commands come first.
 */
vehicles: Array<string>, };

/**
 * What to send.
 */
export type Subscribe = { 
/**
 * Names the subscription; the same name again replaces it.
 */
id?: string, 
/**
 * Patterns of vehicle names.
 */
vehicles?: Array<string>, 
/**
 * Patterns of stream names.
 */
streams?: Array<string>, 
/**
 * Patterns of field names.
 */
fields?: Array<string>, 
/**
 * The most records a second of a stream.
 */
max_rate_hz?: number, 
/**
 * Whether records of the backlog are wanted.
 */
backlog?: boolean, };

/**
 * What to send, and where to go on.
 */
export type Resume = { 
/**
 * As in `subscribe`.
 */
id?: string, 
/**
 * As in `subscribe`.
 */
vehicles?: Array<string>, 
/**
 * As in `subscribe`.
 */
streams?: Array<string>, 
/**
 * As in `subscribe`.
 */
fields?: Array<string>, 
/**
 * As in `subscribe`.
 */
max_rate_hz?: number, 
/**
 * As in `subscribe`.
 */
backlog?: boolean, 
/**
 * The last that the client has without a hole before it.
 */
cursor: string, 
/**
 * The last live one, when that cursor is of an interrupted fill.
 */
live?: string, };

/**
 * Records of the past.
 */
export type HistoryRequest = { 
/**
 * Names the request.
 */
id?: string, 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Patterns of stream names.
 */
streams?: Array<string>, 
/**
 * Patterns of field names.
 */
fields?: Array<string>, 
/**
 * Captured at or after this, seconds since the Unix epoch.
 */
from?: number, 
/**
 * Captured before this, seconds since the Unix epoch.
 */
to?: number, 
/**
 * Into how many buckets the span is downsampled.
 */
buckets?: number, 
/**
 * Where an earlier request ended.
 */
after?: string, };

/**
 * A record without its vehicle.
 */
export type Sample = { 
/**
 * Of which stream.
 */
stream: string, 
/**
 * Capture time by the vehicle's clock, seconds since the Unix epoch.
 */
t: number, 
/**
 * Arrival by the ground's clock, seconds since the Unix epoch.
 */
received: number, 
/**
 * Ground time minus vehicle time when it arrived, milliseconds; `null` until measured.
 */
clock_offset_ms: number | null, 
/**
 * The truth is within this of the offset, milliseconds.
 */
clock_uncertainty_ms: number | null, 
/**
 * How it crossed the satellite link.
 */
lane: "live" | "backlog", 
/**
 * Its sequence number.
 */
seq: number, 
/**
 * The epoch of the sequence number: 16 digits, hexadecimal.
 */
epoch: string, 
/**
 * Its values.
 */
fields: { [field: string]: Value }, };

/**
 * A stream.
 */
export type StreamAbout = { 
/**
 * Its name.
 */
stream: string, 
/**
 * What goes first when the link is short.
 */
class: "critical" | "live" | "bulk", 
/**
 * Unit by field, of the fields that have one.
 */
units: { [key in string]: string }, };

/**
 * A vehicle's state.
 */
export type VehicleStatus = { 
/**
 * Whether it has a session.
 */
connected: boolean, 
/**
 * Since when it has had one, or none; seconds since the Unix epoch, by the ground's clock.
 */
since: number | null, 
/**
 * Name and version of its edge.
 */
agent: string | null, 
/**
 * The epoch of its last session.
 */
epoch: string | null, 
/**
 * When its last record arrived, seconds since the Unix epoch, by the ground's clock.
 */
last_received: number | null, 
/**
 * Ground time minus vehicle time, milliseconds.
 */
clock_offset_ms: number | null, 
/**
 * The truth is within this of the offset, milliseconds.
 */
clock_uncertainty_ms: number | null, 
/**
 * Records of it that arrived, over all epochs.
 */
records: number, 
/**
 * Of these, how many came from its backlog since this ground started.
 */
backlog_records: number, 
/**
 * Records known to be lost, over all epochs.
 */
lost_records: number, };

/**
 * A field's columns in `buckets`; `null` where no record of a bucket has a number.
 */
export type BucketColumns = { 
/**
 * The smallest value.
 */
min: Array<number | null>, 
/**
 * The largest value.
 */
max: Array<number | null>, 
/**
 * The mean value.
 */
mean: Array<number | null>, };

/**
 * How a record came from the ground to the client, when it is no news.
 */
export type Phase = "snapshot" | "fill";

/**
 * Why records are missing.
 */
export type MissingReason = "too-old" | "unknown-cursor" | "history-unavailable";

/**
 * What is wrong.
 */
export type Problem = { 
/**
 * For programs.
 */
code: ErrorCode, 
/**
 * For people.
 */
message: string, };

/**
 * Something for a vehicle to do.
 */
export type CommandOperation = { 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Names the command: 16 hexadecimal digits at random. Asking again with the same name never runs it twice.
 */
id?: string, 
/**
 * How long it may take until it begins, milliseconds.
 */
ttl_ms?: number, 
/**
 * It cancels older commands with the same key that have not begun.
 */
key?: string, 
/**
 * What to do.
 */
action: ActionRequest, };

/**
 * Where a control is to be.
 */
export type ControlOperation = { 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Which.
 */
control: string, 
/**
 * One an axis, from -1 to 1.
 */
values: Array<number>, 
/**
 * How long it counts from here on, milliseconds.
 */
life_ms?: number, };

/**
 * What to do. The names of MAVLink commands are those of the edge's allow-list.
 */
export type ActionRequest = { "kind": "arm", } | { "kind": "disarm", } | { "kind": "mode", 
/**
 * The autopilot's number of it (`custom_mode`).
 */
mode: number, } | { "kind": "takeoff", 
/**
 * Metres above home.
 */
altitude_m: number, } | { "kind": "land", } | { "kind": "rtl", } | { "kind": "reposition", 
/**
 * Degrees.
 */
latitude: number, 
/**
 * Degrees.
 */
longitude: number, 
/**
 * Metres above home.
 */
altitude_m: number, } | { "kind": "mission-start", } | { "kind": "servo", 
/**
 * Which output, from 1.
 */
output: number, 
/**
 * Microseconds.
 */
pulse_us: number, } | { "kind": "relay", 
/**
 * Which, from 0.
 */
relay: number, 
/**
 * To what.
 */
on: boolean, } | { "kind": "camera-trigger", } | { "kind": "camera-capture-start", 
/**
 * Seconds between two.
 */
interval_s: number, 
/**
 * How many, 0 for until stopped.
 */
count: number, } | { "kind": "camera-capture-stop", } | { "kind": "camera-video-start", } | { "kind": "camera-video-stop", } | { "kind": "mavlink", 
/**
 * `MAV_CMD`.
 */
command: number, 
/**
 * `param1` and on; what is left out is 0, `null` is NaN.
 */
params?: Array<number | null>, 
/**
 * System id; 0 for the autopilot that the edge hears.
 */
system?: number, 
/**
 * Component id.
 */
component?: number, 
/**
 * Makes it a `COMMAND_INT`.
 */
position?: PositionRequest, } | { "kind": "device", 
/**
 * The device's name at the edge.
 */
device: string, 
/**
 * What it is asked for.
 */
command: string, 
/**
 * How.
 */
arguments?: { [name: string]: unknown }, };

/**
 * A position as `COMMAND_INT` carries it.
 */
export type PositionRequest = { 
/**
 * `MAV_FRAME`.
 */
frame: number, 
/**
 * Latitude in degrees times 10^7, or what the frame says.
 */
x: number, 
/**
 * Longitude in degrees times 10^7, or what the frame says.
 */
y: number, };

/**
 * A command and all that is known of it.
 */
export type CommandStatus = { 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Its name.
 */
id: string, 
/**
 * Who asked.
 */
issuer: string, 
/**
 * When, by the ground's clock, seconds since the Unix epoch.
 */
issued: number, 
/**
 * When it must have begun, by the ground's clock.
 */
expires: number, 
/**
 * Its supersede key.
 */
key: string | null, 
/**
 * What was asked.
 */
action: ActionStatus, 
/**
 * Where it is.
 */
state: CommandState, 
/**
 * What became of it, oldest first.
 */
steps: Array<StepStatus>, };

/**
 * One step of a command.
 */
export type StepStatus = { 
/**
 * To what.
 */
state: CommandState, 
/**
 * When, by the clock of `by`, seconds since the Unix epoch.
 */
t: number, 
/**
 * Whose word it is: `ground` or `vehicle`.
 */
by: "ground" | "vehicle", 
/**
 * How much is done, percent.
 */
progress?: number, 
/**
 * Why, for programs.
 */
reason?: string, 
/**
 * In the vehicle's words.
 */
detail?: string, };

/**
 * What a control does.
 */
export type ControlStatus = { 
/**
 * Whose.
 */
vehicle: string, 
/**
 * Which.
 */
control: string, 
/**
 * What it does.
 */
state: "active" | "stopped" | "refused", 
/**
 * Since when, by the vehicle's clock, seconds since the Unix epoch.
 */
t: number, 
/**
 * Why.
 */
reason?: string, };

/**
 * Why something was refused.
 */
export type ErrorCode = "malformed" | "unknown-operation" | "limit" | "bad-cursor" | "unknown-id" | "unknown-vehicle" | "forbidden" | "busy" | "unavailable" | "not-authorized" | "expired" | "duplicate" | "not-connected" | "taken" | "too-fast" | "too-large";
