/** The stretch of time that all charts show. */

/** Either the last so many seconds, moving with the time, or a stretch that stands still. */
export type Range = { kind: "live"; seconds: number } | { kind: "fixed"; from: number; to: number };

/** Lengths that are offered, seconds. */
export const LENGTHS: readonly (readonly [seconds: number, label: string])[] = [
  [60, "1 min"], [300, "5 min"], [1800, "30 min"], [7200, "2 h"], [43_200, "12 h"],
];

/** From and to, seconds by the ground's clock. */
export function bounds(range: Range, now: number): [from: number, to: number] {
  return range.kind === "live" ? [now - range.seconds, now] : [range.from, range.to];
}

/** The range half as long before or after, standing still. */
export function shifted(range: Range, now: number, direction: -1 | 1): Range {
  const [from, to] = bounds(range, now);
  const by = ((to - from) / 2) * direction;
  if (direction === 1 && to + by >= now) return { kind: "live", seconds: Math.round(to - from) };
  return { kind: "fixed", from: from + by, to: to + by };
}
