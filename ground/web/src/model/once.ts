import { HistoryError } from "../../client/src";
import type { Vehicle } from "./vehicle";

/** Loads something of the past once a vehicle; again when the connection was lost over it. */
export class Once {
  private readonly begun = new WeakSet<Vehicle>();

  /** Whether it is loaded, or being loaded. */
  has(vehicle: Vehicle): boolean {
    return this.begun.has(vehicle);
  }

  begin(vehicle: Vehicle, load: () => Promise<void>): void {
    this.begun.add(vehicle);
    load().catch((error: unknown) => {
      if (!(error instanceof HistoryError)) throw error;
      // Another connection may have more luck.
      if (error.code === "lost") this.begun.delete(vehicle);
    });
  }
}
