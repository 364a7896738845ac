export { Backoff } from "./backoff";
export { TernClient, type ClientListener, type ClientOptions } from "./client";
export { GroundClock } from "./clock";
export type { ConnectionState, Socket } from "./connection";
export { HistoryError, type HistoryChunk, type HistoryQuery } from "./history";
export type * from "./messages";
export { Subscription, type SubscriptionListener, type SubscriptionRequest } from "./subscription";
