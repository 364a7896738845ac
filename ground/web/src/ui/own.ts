/** The newest values of a vehicle's own streams, where there is no autopilot whose readings are known by name. */

import { ownFields } from "../model/own";
import { READING_NAMES, type FieldRef } from "../model/readings";
import type { Store } from "../model/store";
import type { Vehicle } from "../model/vehicle";
import { fieldTitle } from "../plots/chart";
import { Aged } from "./aged";
import { el } from "./dom";

export class OwnValues {
  readonly element = el("div.own");
  private shown: FieldRef[] = [];
  private tiles: Aged[] = [];

  constructor(private readonly store: Store) {}

  draw(vehicle: Vehicle, now: number): void {
    const readings = READING_NAMES.flatMap((name) => vehicle.fieldOf(name, now) ?? []);
    const fields = vehicle.heartbeat ? [] : ownFields(vehicle.streams.values(), readings);
    if (fields.length !== this.shown.length || fields.some((ref, i) => !isSame(ref, this.shown[i]!))) this.rebuild(fields);
    for (const [i, { stream, field }] of fields.entries()) {
      const { text, unit } = stream.text(field);
      this.tiles[i]!.show(text, unit, stream.newest?.captured ?? now, now, this.store.isOnline);
    }
  }

  private rebuild(fields: FieldRef[]): void {
    this.shown = fields;
    this.tiles = fields.map(({ stream, field }) => new Aged(fieldTitle(field), `${stream.name}:${field}`, stream.name));
    this.element.replaceChildren(...this.tiles.map(({ element }) => element));
  }
}

function isSame(a: FieldRef, b: FieldRef): boolean {
  return a.stream === b.stream && a.field === b.field;
}
