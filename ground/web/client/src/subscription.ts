/** One subscription, over as many connections as it takes. */

import type {
  FilledMessage, MissedMessage, MissingMessage, ReadyMessage,
  RecordMessage, StreamMessage, TimeMessage, VehicleMessage,
} from "./types.js";
import type { FromClient, Subscribe } from "./messages.js";
import { ResumePoint } from "./resume.js";
import { SeenRecords } from "./seen.js";

/** How long after it was too slow a subscription asks for what it missed, milliseconds. */
const CATCH_UP_MS = 5000;

/** What is wanted: patterns, in which `*` stands for any characters. Members that are left out stand for everything. */
export type SubscriptionRequest = Subscribe;

/** Who is told what comes. */
export interface SubscriptionListener {
  onVehicle?(message: VehicleMessage): void;
  onStream?(message: StreamMessage): void;
  /** `phase` is `snapshot` for values that are only to be shown, and may come again as news. */
  onRecord?(message: RecordMessage): void;
  /** The snapshot is complete. */
  onReady?(message: ReadyMessage): void;
  /** Records were skipped, as this client was too slow. They are asked for by and by. */
  onMissed?(message: MissedMessage): void;
  /** Records that the ground cannot fill in. */
  onMissing?(message: MissingMessage): void;
  /** Nothing is missing any more. */
  onFilled?(message: FilledMessage): void;
}

/** The messages of a subscription. */
export type SubscriptionMessage =
  | VehicleMessage | StreamMessage | RecordMessage | ReadyMessage | MissedMessage | MissingMessage | FilledMessage | TimeMessage;

export class Subscription {
  readonly id: string;
  private point = new ResumePoint();
  private readonly seen = new SeenRecords();
  private catchUp: ReturnType<typeof setTimeout> | undefined;
  private attached = true;

  constructor(
    private readonly request: SubscriptionRequest,
    private readonly listener: SubscriptionListener,
    private readonly sendMessage: (message: FromClient) => boolean,
  ) {
    this.id = request.id ?? "";
  }

  /** Whether records are known to be missing that the ground may still have. */
  get isIncomplete(): boolean {
    return this.point.isIncomplete;
  }

  /** Subscribes, or resumes where it stood. */
  send(): void {
    clearTimeout(this.catchUp);
    const place = this.point.place();
    if (place === null) {
      this.sendMessage({ type: "subscribe", ...this.request });
    } else if (this.sendMessage({ type: "resume", ...this.request, ...place })) {
      this.point.resumed();
    }
  }

  /** Takes in a message that came for it, or a `time` with a cursor. */
  take(message: SubscriptionMessage): void {
    if (!this.attached) return;
    switch (message.type) {
      case "record":
        this.point.take(message);
        if (message.phase === "snapshot" || this.seen.add(message)) this.listener.onRecord?.(message);
        return;
      case "vehicle":
        this.point.take(message);
        this.listener.onVehicle?.(message);
        return;
      case "stream":
        this.point.take(message);
        this.listener.onStream?.(message);
        return;
      case "ready":
        this.point.take(message);
        this.listener.onReady?.(message);
        return;
      case "time":
        this.point.take(message);
        return;
      case "missed":
        this.point.missed(message.from);
        this.resumeLater();
        this.listener.onMissed?.(message);
        return;
      case "missing":
        if (message.reason === "unknown-cursor") this.point.lost();
        if (message.reason === "history-unavailable") this.resumeLater();
        this.listener.onMissing?.(message);
        return;
      case "filled":
        this.point.filled(message.cursor);
        this.listener.onFilled?.(message);
        return;
    }
  }

  /** Its cursor is of no use: subscribes as if for the first time. */
  startAnew(): void {
    this.point = new ResumePoint();
    this.sendMessage({ type: "subscribe", ...this.request });
  }

  /** The connection is gone. */
  lost(): void {
    clearTimeout(this.catchUp);
  }

  /** Nothing is of interest any more. */
  detach(): void {
    this.attached = false;
    clearTimeout(this.catchUp);
  }

  private resumeLater(): void {
    clearTimeout(this.catchUp);
    this.catchUp = setTimeout(() => this.send(), CATCH_UP_MS);
  }
}
