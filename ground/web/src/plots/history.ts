/** History for charts: asked for once a range, and anew when there may be more of it. */

import { HistoryError, type TernClient } from "../../client/src";
import type { Buckets } from "./columns";

/** What is asked for again no sooner than this, seconds. */
const REFRESH_S = 20;
const BUCKETS = 600;

/** Which history a chart wants. Times by the ground's clock. */
export interface Wanted {
  vehicle: string;
  stream: string;
  field: string;
  from: number;
  to: number;
  /** Ground time minus vehicle time, seconds. */
  clockOffsetS: number;
}

export class ChartHistory {
  buckets: Buckets | null = null;
  /** Why there is none; `null` while there may be. */
  problem: string | null = null;
  private answered: Wanted | null = null;
  private askedAt = -Infinity;
  private busy = false;

  constructor(private readonly client: TernClient, private readonly onChange: () => void) {}

  /** Sees to it that {@link buckets} cover what is wanted, by and by. */
  want(wanted: Wanted, now: number): void {
    if (this.busy || (this.covers(wanted) && now - this.askedAt < REFRESH_S)) return;
    if (now - this.askedAt < 1 && this.problem !== null) return;
    this.busy = true;
    this.askedAt = now;
    void this.ask(wanted).finally(() => { this.busy = false; this.onChange(); });
  }

  /** Nothing of before is of use. */
  forget(): void {
    this.answered = null;
    this.buckets = null;
  }

  private covers(wanted: Wanted): boolean {
    const { answered } = this;
    if (!answered || answered.stream !== wanted.stream || answered.field !== wanted.field) return false;
    const length = wanted.to - wanted.from;
    // A moving range stays covered while it has not moved on by much, and the buckets are about as fine as they should be.
    const isAsFine = Math.abs(Math.log2(length / (answered.to - answered.from))) < 0.5;
    return answered.vehicle === wanted.vehicle && isAsFine && wanted.from >= answered.from - length * 0.02
      && wanted.to <= answered.to + Math.max(REFRESH_S * 1.5, length * 0.02);
  }

  private async ask(wanted: Wanted): Promise<void> {
    const { vehicle, stream, field, clockOffsetS } = wanted;
    const buckets: Buckets = { width: 0, times: [], mean: [], min: [], max: [], backlog: [] };
    try {
      const query = {
        vehicle, streams: [stream], fields: [field], from: wanted.from - clockOffsetS, to: wanted.to - clockOffsetS, buckets: BUCKETS,
      };
      for await (const chunk of this.client.history(query)) {
        const columns = chunk.type === "buckets" ? chunk.fields[field] : undefined;
        if (chunk.type !== "buckets" || !columns) continue;
        buckets.width = chunk.width;
        buckets.times.push(...chunk.t.map((t) => t + clockOffsetS));
        buckets.mean.push(...columns.mean);
        buckets.min.push(...columns.min);
        buckets.max.push(...columns.max);
        buckets.backlog.push(...chunk.backlog.map((count, i) => count * 2 > (chunk.count[i] ?? 0)));
      }
      this.buckets = buckets.times.length > 0 ? buckets : null;
      this.answered = wanted;
      this.problem = null;
    } catch (error) {
      this.problem = error instanceof HistoryError ? error.message : String(error);
      if (!(error instanceof HistoryError)) throw error;
    }
  }
}
