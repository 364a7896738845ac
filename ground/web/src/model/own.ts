/** What the streams of a vehicle's own devices say, under whatever names they chose. */

import type { FieldRef } from "./readings";
import type { Stream } from "./stream";

/** No more than fit beside what else is known. */
const MAX_FIELDS = 12;
/** Streams whose fields have names that are known. */
const KNOWN = /^(mavlink|tern)\//;
/** The map shows these. */
const POSITION = new Set(["lat", "lon", "lng", "latitude", "longitude"]);

/** Numeric fields that no reading stands for, but those of a position. */
export function ownFields(streams: Iterable<Stream>, readings: readonly FieldRef[]): FieldRef[] {
  const isRead = (stream: Stream, field: string) => readings.some((ref) => ref.stream === stream && ref.field === field);
  const own = [...streams].filter(({ name }) => !KNOWN.test(name)).sort((a, b) => a.name.localeCompare(b.name));
  return own.flatMap((stream) => Object.keys(stream.newest?.fields ?? {})
    .filter((field) => typeof stream.value(field) === "number" && !POSITION.has(field) && !isRead(stream, field))
    .map((field) => ({ stream, field }))).slice(0, MAX_FIELDS);
}
