import type { Lane } from "./lane";
import { Series } from "./series";
import { valueText } from "./units";

/** One record, as the page keeps it. */
export interface Sample {
  /** Capture time, seconds since the Unix epoch by the ground's clock. */
  captured: number;
  /** Arrival at the ground, seconds since the Unix epoch by its clock. */
  received: number;
  lane: Lane;
  fields: Record<string, unknown>;
}

/** What goes first when the link is short. */
export type StreamClass = "critical" | "live" | "bulk";

/** A stream of a vehicle: its newest sample, and the ones before. */
export class Stream {
  /** Unit by field. */
  units: Record<string, string> = {};
  class: StreamClass = "live";
  newest: Sample | null = null;
  readonly series = new Series();
  /** Counts what came, for whoever draws it. */
  version = 0;

  /** Fields that ever had decimals: they keep them, so that digits stand still. */
  private readonly fractional = new Set<string>();

  constructor(readonly name: string) {}

  /** The name without what all names of its kind begin with: `ATTITUDE`. */
  get shortName(): string {
    return this.name.slice(this.name.lastIndexOf("/") + 1);
  }

  /** Takes a record in. What fills a hole in the past is not the newest. */
  take(sample: Sample): void {
    this.series.insert(sample.captured, sample.lane, sample.fields);
    for (const field in sample.fields) {
      const value = sample.fields[field];
      if (typeof value === "number" && !Number.isInteger(value)) this.fractional.add(field);
    }
    if (this.newest === null || sample.captured >= this.newest.captured) this.newest = sample;
    this.version += 1;
  }

  /** The newest value of a field. */
  value(field: string): unknown {
    return this.newest?.fields[field];
  }

  /** The newest value of a field as text, and its unit's sign. */
  text(field: string): { text: string; unit: string } {
    return valueText(this.name, this.unit(field), this.value(field), this.fractional.has(field));
  }

  /** Unit of a field; empty where it has none. */
  unit(field: string): string {
    return this.units[field] ?? "";
  }
}
