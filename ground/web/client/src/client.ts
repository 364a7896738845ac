/**
 * A ground's web client: connects, and again whenever the connection is lost; resumes its subscriptions where they
 * stood; asks for history; sends commands.
 *
 * ```ts
 * const client = new TernClient({ url: "ws://127.0.0.1:8080/ws" });
 * client.subscribe({ streams: ["humidity"] }, { onRecord: (record) => console.log(record.fields) });
 * client.connect();
 * ```
 */

import { Backoff } from "./backoff.js";
import { CommandError, commandId, type CommandRequest } from "./command.js";
import { GroundClock } from "./clock.js";
import { Connection, type ConnectionState, type Socket } from "./connection.js";
import { HistoryError, PendingHistory, type HistoryChunk, type HistoryQuery } from "./history.js";
import type {
  AccessMessage, ErrorMessage, FilledMessage, MissedMessage, MissingMessage,
  ReadyMessage, RecordMessage, StreamMessage, VehicleMessage,
} from "./types.js";
import type { CommandStatus, ControlStatus, ToClient } from "./messages.js";
import { Slots } from "./slots.js";
import { Subscription, type SubscriptionListener, type SubscriptionRequest } from "./subscription.js";
import { Waiting } from "./waiting.js";

/** What a client takes. */
export interface ClientOptions {
  /** The ground's `/ws`. */
  url: string;
  /** The token, asked for on each connection; `null` when there is none. */
  token?: () => string | null;
  /** Makes a socket; by default the browser's, or that of Node from 22 on. */
  open?: (url: string) => Socket;
  clock?: GroundClock;
  backoff?: Backoff;
}

/** Who is told what concerns the whole connection. */
export interface ClientListener {
  onState?(state: ConnectionState): void;
  onAccess?(access: AccessMessage): void;
  /** A command of a vehicle that this client may see has come further. */
  onCommand?(status: CommandStatus): void;
  /** A control follows set-points, or has stopped. */
  onControl?(status: ControlStatus): void;
  /** Something was refused that no promise stands for. */
  onError?(error: ErrorMessage): void;
}

/** Who waits for a command to be taken. */
interface PendingCommand {
  resolve: (status: CommandStatus) => void;
  reject: (error: CommandError) => void;
}

/** The ground takes so many requests for history of a connection at a time. */
const MAX_HISTORIES = 4;
/** What is asked for while the first connection is being made waits for it so long, milliseconds. */
const WAIT_MS = 10_000;
/** Errors after which the ground ends the connection, and with the same token would do so again. */
const FATAL = new Set(["not-authorized", "expired"]);

export class TernClient {
  readonly clock: GroundClock;
  private readonly connection: Connection;
  private readonly subscriptions = new Map<string, Subscription>();
  private readonly histories = new Map<string, PendingHistory>();
  private readonly historySlots = new Slots(MAX_HISTORIES);
  private readonly commands = new Map<string, PendingCommand>();
  private readonly waiting = new Waiting();
  private followed: string[] = [];
  private nextHistory = 1;

  constructor(private readonly options: ClientOptions, private readonly listener: ClientListener = {}) {
    this.clock = options.clock ?? new GroundClock();
    this.connection = new Connection(
      {
        url: options.url,
        open: options.open ?? ownSocket(),
        clock: this.clock,
        ...(options.backoff && { backoff: options.backoff }),
      },
      {
        onHello: (authRequired) => this.onHello(authRequired),
        onMessage: (message) => this.onMessage(message),
        onLost: () => this.onLost(),
        onState: (state) => this.onState(state),
      },
    );
  }

  /** What the connection is doing. */
  get state(): ConnectionState {
    return this.connection.state;
  }

  /** Connects, and keeps connected until {@link close}. */
  connect(): void {
    this.connection.connect();
  }

  /** Connects at once, where it would wait before its next attempt. */
  hurry(): void {
    this.connection.hurry();
  }

  /** Ends the connection. {@link connect} resumes. */
  close(): void {
    this.connection.close();
    this.onLost();
  }

  /** Subscribes, now and on every later connection. The same `id` again replaces what stood. */
  subscribe(request: SubscriptionRequest, listener: SubscriptionListener): Subscription {
    const subscription = new Subscription(request, listener, (message) => this.connection.send(message));
    this.subscriptions.get(subscription.id)?.detach();
    this.subscriptions.set(subscription.id, subscription);
    if (this.connection.state.phase === "open") subscription.send();
    return subscription;
  }

  /** Ends a subscription. */
  unsubscribe(subscription: Subscription): void {
    if (this.subscriptions.get(subscription.id) !== subscription) return;
    subscription.detach();
    this.subscriptions.delete(subscription.id);
    this.connection.send({ type: "unsubscribe", id: subscription.id });
  }

  /**
   * History in chunks. Goes on by itself where the ground answers in parts. Leaving the loop early cancels the request.
   * While the first connection is being made, it waits for it, 10 s at most.
   * Throws a {@link HistoryError}: what the ground said, or `lost` when the connection was.
   */
  async *history(query: HistoryQuery): AsyncGenerator<HistoryChunk> {
    await this.firstConnection();
    await this.historySlots.take();
    try {
      yield* this.parts(query);
    } finally {
      this.historySlots.release();
    }
  }

  /**
   * Asks for news of commands and controls of these vehicles (patterns), now and on every later connection; an empty list
   * ends it. Of vehicles that are named without `*`, the newest commands come first.
   */
  followCommands(vehicles: string[]): void {
    this.followed = vehicles;
    if (this.connection.state.phase === "open") this.connection.send({ type: "follow-commands", vehicles });
  }

  /**
   * Asks a vehicle to do something. Resolves once the ground has taken the command, whose further states
   * {@link ClientListener.onCommand} tells; rejects with a {@link CommandError} when it has not.
   *
   * While the first connection is being made, it waits for it, within the time in which the command may begin. A
   * connection that was lost is not waited for: then this rejects.
   */
  async command(vehicle: string, request: CommandRequest): Promise<CommandStatus> {
    if (this.connection.state.phase !== "connecting") return this.send(vehicle, request);
    const { ttl_ms: ttlMs = WAIT_MS } = request;
    const asked = Date.now();
    await this.firstConnection(ttlMs);
    return this.send(vehicle, { ...request, ttl_ms: Math.max(1, ttlMs - (Date.now() - asked)) });
  }

  /**
   * Holds a control where it is wanted, -1 to 1 an axis, for `lifeMs` from now on: say it again before that. Nothing is
   * kept for later; returns whether there is a connection to take it.
   */
  setPoint(vehicle: string, control: string, values: number[], lifeMs: number): boolean {
    return this.connection.state.phase === "open"
      && this.connection.send({ type: "control", vehicle, control, values, life_ms: lifeMs });
  }

  /** Waits while a connection is being made that was not there before. */
  private async firstConnection(limitMs = WAIT_MS): Promise<void> {
    if (this.connection.state.phase === "connecting") await this.waiting.wait(Math.min(limitMs, WAIT_MS));
  }

  private send(vehicle: string, request: CommandRequest): Promise<CommandStatus> {
    const id = commandId();
    return new Promise((resolve, reject) => {
      if (this.connection.state.phase !== "open" || !this.connection.send({ type: "command", vehicle, id, ...request })) {
        reject(new CommandError("lost", "there is no connection to the ground"));
        return;
      }
      this.commands.set(id, { resolve, reject });
    });
  }

  private async *parts(query: HistoryQuery): AsyncGenerator<HistoryChunk> {
    let after: string | null = null;
    do {
      const id = `h${this.nextHistory++}`;
      const pending = new PendingHistory();
      this.histories.set(id, pending);
      try {
        const request = { type: "history", id, ...query, ...(after !== null && { after }) } as const;
        if (this.connection.state.phase !== "open" || !this.connection.send(request)) {
          throw new HistoryError("lost", "there is no connection to the ground");
        }
        after = yield* pending.read();
      } finally {
        if (this.histories.delete(id) && !pending.isEnded) this.connection.send({ type: "cancel", id });
      }
    } while (after !== null);
  }

  private onState(state: ConnectionState): void {
    if (state.phase === "open") this.waiting.settle(true);
    if (state.phase === "refused" || state.phase === "closed") this.waiting.settle(false);
    this.listener.onState?.(state);
  }

  private onHello(authRequired: boolean): void {
    if (authRequired) {
      const token = this.options.token?.() ?? null;
      if (token === null) {
        this.connection.refuse("this ground asks for a token");
        return;
      }
      this.connection.send({ type: "authenticate", token });
    }
    for (const subscription of this.subscriptions.values()) subscription.send();
    if (this.subscriptions.size === 0) this.onEstablished();
  }

  /** What was to be followed while the connection was being made is asked for now. */
  private onEstablished(): void {
    this.connection.established();
    this.sendFollow();
  }

  private onMessage(message: ToClient): void {
    switch (message.type) {
      case "time":
        if (message.cursor) for (const subscription of this.subscriptions.values()) subscription.take(message);
        return;
      case "access":
        this.listener.onAccess?.(message);
        return;
      case "vehicle": case "stream": case "record": case "ready": case "missed": case "missing": case "filled":
        this.onPublication(message);
        return;
      case "records": case "buckets":
        this.histories.get(message.id)?.push(message);
        return;
      case "history-end":
        this.histories.get(message.id)?.finish(message);
        return;
      case "error":
        this.onError(message);
        return;
      case "unsubscribed":
        return;
      case "command":
        this.onCommand(message);
        return;
      case "control-state":
        this.listener.onControl?.(message);
        return;
      case "commands-missed":
        this.sendFollow();
        return;
    }
  }

  private onPublication(
    message: VehicleMessage | StreamMessage | RecordMessage | ReadyMessage | MissedMessage | MissingMessage | FilledMessage,
  ): void {
    if (message.type === "record") this.clock.learn(message.received);
    this.subscriptions.get(message.sub ?? "")?.take(message);
    if (message.type === "ready" && this.connection.state.phase !== "open") this.onEstablished();
  }

  private sendFollow(): void {
    if (this.followed.length > 0) this.connection.send({ type: "follow-commands", vehicles: this.followed });
  }

  private onCommand(status: CommandStatus): void {
    this.commands.get(status.id)?.resolve(status);
    this.commands.delete(status.id);
    this.listener.onCommand?.(status);
  }

  private onError(error: ErrorMessage): void {
    const command = error.id == null ? undefined : this.commands.get(error.id);
    const history = error.id == null ? undefined : this.histories.get(error.id);
    if (command) {
      this.commands.delete(error.id!);
      command.reject(new CommandError(error.code, error.message));
    } else if (history) {
      history.finish(new HistoryError(error.code, error.message));
    } else if (FATAL.has(error.code)) {
      this.connection.refuse(error.message);
    } else if (error.code === "bad-cursor") {
      this.subscriptions.get(error.id ?? "")?.startAnew();
    } else {
      this.listener.onError?.(error);
    }
  }

  private onLost(): void {
    for (const subscription of this.subscriptions.values()) subscription.lost();
    for (const history of this.histories.values()) {
      history.finish(new HistoryError("lost", "the connection to the ground was lost"));
    }
    this.histories.clear();
    for (const { reject } of this.commands.values()) {
      reject(new CommandError("lost", "the connection was lost before the ground had answered"));
    }
    this.commands.clear();
  }
}

/** What makes the sockets of the platform. */
function ownSocket(): (url: string) => Socket {
  if (typeof WebSocket === "undefined") {
    throw new Error("there is no WebSocket here: give TernClient the option `open`, as in `open: (url) => new WebSocket(url)` with that of ws");
  }
  return (url) => new WebSocket(url);
}
