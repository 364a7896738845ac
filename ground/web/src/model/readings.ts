/**
 * What an operator wants to know, whatever stream says it.
 *
 * Each reading names its sources from best to worst; the first that has a value wins. A source is a stream's short name
 * or, for sensors with names of their own, a match on streams and units.
 */

import type { Stream } from "./stream";
import { isUnknown, shownUnit } from "./units";

/** What readings there are. */
export type ReadingName =
  | "altitude" | "speed" | "climb" | "heading" | "battery" | "voltage" | "current" | "satellites" | "temperature"
  | "humidity" | "roll" | "pitch" | "acceleration" | "throttle";

/** Which field of which stream. */
export interface FieldRef {
  stream: Stream;
  field: string;
}

/** A value with what tells its age. */
export interface Reading extends FieldRef {
  /** In the unit that is shown. */
  value: number;
  unit: string;
  /** Capture time by the ground's clock, seconds since the Unix epoch. */
  captured: number;
}

type Source = readonly [stream: string, field: string] | ((stream: Stream) => string | undefined);

/** The first field of a stream that is no MAVLink with one of these units, and of a stream or field named like it. */
function sensor(units: readonly string[], like?: RegExp): Source {
  return (stream) => {
    if (stream.name.startsWith("mavlink/")) return undefined;
    return Object.keys(stream.newest?.fields ?? {}).find((field) =>
      units.includes(stream.unit(field)) && (!like || like.test(stream.name) || like.test(field)));
  };
}

const SOURCES: Record<ReadingName, readonly Source[]> = {
  altitude: [["GLOBAL_POSITION_INT", "relative_alt"], ["ALTITUDE", "altitude_relative"], ["VFR_HUD", "alt"],
    sensor(["m", "mm", "cm"], /alt/i)],
  speed: [["VFR_HUD", "groundspeed"], ["GPS_RAW_INT", "vel"], sensor(["m/s", "km/h", "kn", "cm/s"], /speed|vel/i)],
  climb: [["VFR_HUD", "climb"]],
  heading: [["GLOBAL_POSITION_INT", "hdg"], ["VFR_HUD", "heading"], ["ATTITUDE", "yaw"],
    sensor(["deg", "rad", "cdeg"], /head|course|yaw|compass/i)],
  battery: [["SYS_STATUS", "battery_remaining"], ["BATTERY_STATUS", "battery_remaining"],
    sensor(["%"], /batt|charge/i)],
  voltage: [["SYS_STATUS", "voltage_battery"], ["BATTERY_STATUS", "voltages[0]"], sensor(["V", "mV"])],
  current: [["SYS_STATUS", "current_battery"], ["BATTERY_STATUS", "current_battery"], sensor(["A", "mA"])],
  satellites: [["GPS_RAW_INT", "satellites_visible"],
    (stream) => (stream.name.startsWith("nmea") && stream.value("satellites") !== undefined ? "satellites" : undefined)],
  temperature: [sensor(["degC", "cdegC"]), ["SCALED_PRESSURE", "temperature"], ["BATTERY_STATUS", "temperature"]],
  humidity: [sensor(["%"], /hum/i), ["HYGROMETER_SENSOR", "humidity"]],
  roll: [["ATTITUDE", "roll"], ["AHRS2", "roll"], sensor(["rad", "deg"], /roll/i)],
  pitch: [["ATTITUDE", "pitch"], ["AHRS2", "pitch"], sensor(["rad", "deg"], /pitch/i)],
  acceleration: [sensor(["m/s/s"], /z$/), sensor(["m/s/s", "mG"]), ["SCALED_IMU2", "zacc"], ["RAW_IMU", "zacc"]],
  throttle: [["VFR_HUD", "throttle"]],
};

/** All readings. */
export const READING_NAMES = Object.keys(SOURCES) as ReadingName[];

/** The field that gives a reading; `null` when no stream does. */
export function findField(streams: Iterable<Stream>, name: ReadingName): FieldRef | null {
  const all = [...streams];
  for (const source of SOURCES[name]) {
    for (const stream of all) {
      const field = typeof source === "function" ? source(stream) : source[0] === stream.shortName ? source[1] : undefined;
      if (field !== undefined && isKnown(stream, field)) return { stream, field };
    }
  }
  return null;
}

function isKnown(stream: Stream, field: string): boolean {
  const value = stream.value(field);
  return typeof value === "number" && !isUnknown(stream.name, stream.unit(field), value);
}

/** The newest value of a field; `null` while it is unknown. */
export function readField(ref: FieldRef): Reading | null {
  const { stream, field } = ref;
  const value = stream.value(field);
  if (stream.newest === null || typeof value !== "number" || isUnknown(stream.name, stream.unit(field), value)) return null;
  const shown = shownUnit(stream.unit(field));
  return { stream, field, value: value * shown.factor, unit: shown.unit, captured: stream.newest.captured };
}
