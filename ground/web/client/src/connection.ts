/**
 * One WebSocket after another to the same ground.
 *
 * A connection that is silent for longer than the ground ever is counts as lost, whatever the operating system thinks of
 * it. Between attempts it waits a little longer each time, and not at all when the computer says that it is online
 * again.
 */

import { Backoff } from "./backoff.js";
import { GroundClock } from "./clock.js";
import type { FromClient, ToClient } from "./messages.js";

/** The ground says its time every 5 s. */
const SILENCE_LIMIT_MS = 12_000;
/** How long a connection may take to say hello. */
const CONNECT_LIMIT_MS = 10_000;

/** What the connection is doing. */
export type ConnectionState =
  | { phase: "connecting" }
  /** The ground answers, and subscriptions stand. */
  | { phase: "open" }
  /** Lost since `since` (by {@link GroundClock}'s clock of this computer, seconds); the next attempt is on its way. */
  | { phase: "lost"; since: number; reason: string }
  /** The ground wants a token, or does not take the one it got: nothing happens until there is another. */
  | { phase: "refused"; reason: string }
  | { phase: "closed" };

/** The part of a WebSocket that is used. `any`, as a browser's events and those of Node's `ws` are of different types. */
export interface Socket {
  readonly readyState: number;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(): void;
}

/** Who is told what happens. */
export interface ConnectionListener {
  /** A new connection said hello. */
  onHello(authRequired: boolean): void;
  /** Any other message. */
  onMessage(message: ToClient): void;
  /** The connection ended; another will follow. */
  onLost(): void;
  onState(state: ConnectionState): void;
}

/** What a connection takes. */
export interface ConnectionOptions {
  url: string;
  /** Makes a socket. */
  open: (url: string) => Socket;
  clock: GroundClock;
  backoff?: Backoff;
}

export class Connection {
  state: ConnectionState = { phase: "closed" };
  private socket: Socket | null = null;
  private lostSince: number | null = null;
  private watch: ReturnType<typeof setTimeout> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff: Backoff;

  constructor(private readonly options: ConnectionOptions, private readonly listener: ConnectionListener) {
    this.backoff = options.backoff ?? new Backoff();
  }

  /** Begins to connect, and does so again until {@link close}. */
  connect(): void {
    clearTimeout(this.retry);
    this.abandon();
    if (this.state.phase !== "lost") this.setState({ phase: "connecting" });
    const socket = this.options.open(this.options.url);
    this.socket = socket;
    this.expectWord(socket, CONNECT_LIMIT_MS);
    socket.onmessage = ({ data }: { data: unknown }) => {
      if (socket !== this.socket || typeof data !== "string") return;
      this.expectWord(socket, SILENCE_LIMIT_MS);
      this.receive(JSON.parse(data) as ToClient);
    };
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      if (socket === this.socket) this.lose(reason || `the connection ended (${code})`);
    };
    socket.onerror = () => {
      // A close follows, which tells more.
    };
  }

  /** Sends a message; returns whether there is a connection to take it. */
  send(message: FromClient): boolean {
    if (this.socket?.readyState !== 1) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Subscriptions stand: the connection is as good as it gets. */
  established(): void {
    this.backoff.reset();
    this.lostSince = null;
    this.setState({ phase: "open" });
  }

  /** Connects at once where an attempt is waiting: the network is said to be back. */
  hurry(): void {
    if (this.state.phase === "lost" && this.socket === null) this.connect();
  }

  /** Ends the connection until {@link connect}, as the ground refuses it. */
  refuse(reason: string): void {
    this.end();
    this.setState({ phase: "refused", reason });
  }

  /** Ends the connection. */
  close(): void {
    this.end();
    this.setState({ phase: "closed" });
  }

  private receive(message: ToClient): void {
    if (message.type === "hello") {
      // Another ground, or one whose clock was set, may have answered.
      this.options.clock.forget();
      this.options.clock.learn(message.server_time);
      this.listener.onHello(message.auth_required);
      return;
    }
    if ("server_time" in message) this.options.clock.learn(message.server_time);
    this.listener.onMessage(message);
  }

  private lose(reason: string): void {
    this.abandon();
    this.lostSince ??= Date.now() / 1000;
    this.setState({ phase: "lost", since: this.lostSince, reason });
    this.listener.onLost();
    this.retry = setTimeout(() => this.connect(), this.backoff.next());
  }

  private expectWord(socket: Socket, limitMs: number): void {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => {
      if (socket === this.socket) this.lose(`the ground has said nothing for ${limitMs / 1000} s`);
    }, limitMs);
  }

  private end(): void {
    clearTimeout(this.retry);
    this.abandon();
    this.lostSince = null;
  }

  /** Lets go of the socket without hearing of it again. */
  private abandon(): void {
    clearTimeout(this.watch);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private setState(state: ConnectionState): void {
    this.state = state;
    this.listener.onState(state);
  }
}
