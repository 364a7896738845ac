/** Requests for history, each an asynchronous sequence of chunks. */

import type { HistoryRequest } from "./messages.js";
import type { BucketsMessage, HistoryEndMessage, RecordsMessage } from "./types.js";

/** What of the history is wanted; times are those of capture, by the vehicle's clock. */
export type HistoryQuery = Omit<HistoryRequest, "id" | "after">;

/** A piece of an answer. */
export type HistoryChunk = RecordsMessage | BucketsMessage;

/** Why history cannot be had. */
export class HistoryError extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
    this.name = "HistoryError";
  }
}

/** The chunks of one request, from the connection to whoever reads them. */
export class PendingHistory {
  private readonly chunks: HistoryChunk[] = [];
  private end: HistoryEndMessage | HistoryError | null = null;
  private wake: (() => void) | null = null;

  /** Whether the last word on it has come. */
  get isEnded(): boolean {
    return this.end !== null;
  }

  push(chunk: HistoryChunk): void {
    this.chunks.push(chunk);
    this.wake?.();
  }

  finish(end: HistoryEndMessage | HistoryError): void {
    this.end ??= end;
    this.wake?.();
  }

  /** Chunks as they come; returns where to go on, `null` at the end of it. */
  async *read(): AsyncGenerator<HistoryChunk, string | null> {
    for (;;) {
      const chunk = this.chunks.shift();
      if (chunk) {
        yield chunk;
      } else if (this.end instanceof HistoryError) {
        throw this.end;
      } else if (this.end) {
        if (this.end.error) throw new HistoryError(this.end.error.code, this.end.error.message);
        return this.end.next;
      } else {
        await new Promise<void>((resolve) => { this.wake = resolve; });
        this.wake = null;
      }
    }
  }
}
