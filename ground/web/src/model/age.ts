/**
 * How old a value is, and how far its age has greyed it.
 *
 * An age counts from the capture on the vehicle to this moment, by the ground's clock. It is never less than zero: a
 * value from the future is a clock that is wrong, which {@link ageText} says.
 */

/** Up to this age, seconds, a value is as fresh as a satellite lets it be, and shown in full colour. */
export const FRESH_S = 2;
/** From this age, seconds, a value is history, and shown in the palest colour that is still readable. */
export const OLD_S = 10;
/** A clock that is ahead by more than this, seconds, is said to be. */
const AHEAD_S = 1;

/** What a glance has to tell apart. */
export type AgeLevel = "fresh" | "aging" | "old";

/** The level of an age in seconds. */
export function ageLevel(ageS: number): AgeLevel {
  if (ageS <= FRESH_S) return "fresh";
  return ageS < OLD_S ? "aging" : "old";
}

/** How far an age in seconds has greyed a value: 0 not at all, 1 wholly. */
export function fade(ageS: number): number {
  return Math.min(1, Math.max(0, (ageS - FRESH_S) / (OLD_S - FRESH_S)));
}

/** An age in seconds for people: `0.4 s`, `12 s`, `3 min`. */
export function ageText(ageS: number): string {
  if (ageS < -AHEAD_S) return `${(-ageS).toFixed(0)} s ahead`;
  return spanText(Math.max(0, ageS));
}

/** How long ago something of an age in seconds was: `0.4 s ago`. */
export function agoText(ageS: number): string {
  return ageS < -AHEAD_S ? ageText(ageS) : `${ageText(ageS)} ago`;
}

/** A time span in seconds for people, at most three digits where there are any. */
export function spanText(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 119.5) return `${seconds.toFixed(0)} s`;
  if (seconds < 7170) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(0)} h`;
  return `${(seconds / 86_400).toFixed(0)} d`;
}
