/** Everything that the page knows, fed by the client. */

import type { RecordMessage, StreamMessage, VehicleMessage, VehicleStatus } from "../../client/src";
import { Vehicle } from "./vehicle";

export class Store {
  readonly vehicles = new Map<string, Vehicle>();
  selected: Vehicle | null = null;
  /** Whether the ground is heard: what it last said of connections is true. */
  isOnline = false;
  /** Since when all that arrived was also sent to this page, seconds by the ground's clock; `null` before. */
  completeSince: number | null = null;
  /** Counts changes of the list of vehicles and of the selection. */
  version = 0;
  private readonly states = new Map<string, VehicleStatus>();

  /** What the ground last said of a vehicle. */
  status(vehicle: Vehicle): VehicleStatus | null {
    return this.states.get(vehicle.name) ?? null;
  }

  /** Makes another vehicle the one that is shown. */
  select(vehicle: Vehicle): void {
    this.selected = vehicle;
    this.version += 1;
  }

  takeVehicle(message: VehicleMessage): void {
    this.states.set(message.vehicle, message);
    const vehicle = this.vehicle(message.vehicle);
    if (message.last_received !== null) {
      vehicle.lastReceived = Math.max(vehicle.lastReceived ?? 0, message.last_received);
    }
    // The first that is there; one that is connected rather than one that is not.
    const shown = this.selected && this.status(this.selected);
    if (!this.selected || (message.connected && !shown?.connected && !this.chosen)) this.select(vehicle);
  }

  takeStream(message: StreamMessage): void {
    const stream = this.vehicle(message.vehicle).stream(message.stream);
    stream.units = message.units;
    stream.class = message.class;
    stream.version += 1;
  }

  takeRecord(message: RecordMessage): void {
    const vehicle = this.vehicle(message.vehicle);
    const offsetMs = message.clock_offset_ms ?? this.status(vehicle)?.clock_offset_ms ?? 0;
    const sample = {
      captured: message.t + offsetMs / 1e3, received: message.received, lane: message.lane, fields: message.fields,
    };
    const isSnapshot = message.phase === "snapshot" || this.completeSince === null;
    vehicle.take(message.stream, sample, isSnapshot);
    if (!isSnapshot) vehicle.count(message.epoch, message.seq, sample);
  }

  /** Whether the operator chose the vehicle that is shown. */
  chosen = false;

  private vehicle(name: string): Vehicle {
    let vehicle = this.vehicles.get(name);
    if (!vehicle) {
      vehicle = new Vehicle(name);
      this.vehicles.set(name, vehicle);
      this.version += 1;
    }
    return vehicle;
  }
}
