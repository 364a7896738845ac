/** Latencies of the recent past, and their quantiles. */

/** One bucket of the past. */
export interface LatencyPoint {
  /** Its beginning, seconds since the Unix epoch by the ground's clock. */
  time: number;
  /** Milliseconds; `null` when nothing live arrived. */
  p50: number | null;
  p99: number | null;
}

/** The `q`-quantile of sorted numbers, nearest rank. */
export function quantile(sorted: ArrayLike<number>, q: number): number | null {
  if (sorted.length === 0) return null;
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? sorted[0]!;
}

/** One-way latency of live records, over a sliding window and in buckets over time. Bounded in both. */
export class LatencyMeter {
  private window: { received: number; ms: number }[] = [];
  private bucket: number[] = [];
  private bucketStart: number | null = null;
  private readonly past: LatencyPoint[] = [];

  /** A window and buckets of so many seconds; `maxPoints` buckets are kept. */
  constructor(
    private readonly windowS = 30,
    private readonly bucketS = 5,
    private readonly maxPoints = 720,
    private readonly maxWindow = 4096,
  ) {}

  /** Takes a live record in that arrived at `received` and took `ms`. */
  add(received: number, ms: number): void {
    this.turnTo(received);
    this.bucket.push(ms);
    this.window.push({ received, ms });
    if (this.window.length > this.maxWindow) this.window.splice(0, this.maxWindow >> 3);
  }

  /** Median and 99th percentile of the window that ends at `now`. */
  recent(now: number): { p50: number | null; p99: number | null; count: number } {
    const from = now - this.windowS;
    const kept = this.window.findIndex((entry) => entry.received >= from);
    this.window = kept < 0 ? [] : this.window.slice(kept);
    const sorted = Float64Array.from(this.window, (entry) => entry.ms).sort();
    return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), count: sorted.length };
  }

  /** The past in buckets, up to `now`. */
  points(now: number): readonly LatencyPoint[] {
    this.turnTo(now);
    return this.past;
  }

  /** Closes buckets that end before `now`; those in which nothing came are holes. */
  private turnTo(now: number): void {
    const start = Math.floor(now / this.bucketS) * this.bucketS;
    this.bucketStart ??= start;
    while (this.bucketStart < start) {
      const sorted = Float64Array.from(this.bucket).sort();
      this.past.push({ time: this.bucketStart, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) });
      this.bucket = [];
      // A page that slept makes up for at most what it keeps.
      this.bucketStart = Math.max(this.bucketStart + this.bucketS, start - this.maxPoints * this.bucketS);
    }
    if (this.past.length > this.maxPoints) this.past.splice(0, this.past.length - this.maxPoints);
  }
}
