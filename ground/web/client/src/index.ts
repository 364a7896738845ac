export { Backoff } from "./backoff.js";
export { TernClient, type ClientListener, type ClientOptions } from "./client.js";
export { GroundClock } from "./clock.js";
export type { ConnectionState, Socket } from "./connection.js";
export { HistoryError, type HistoryChunk, type HistoryQuery } from "./history.js";
export type { CommandStatus, ControlStatus, VehicleStatus } from "./messages.js";
export type * from "./types.js";
export { CommandError, type CommandAction, type CommandRequest, type CommandState, type CommandStep } from "./command.js";
export { Subscription, type SubscriptionListener, type SubscriptionRequest } from "./subscription.js";
