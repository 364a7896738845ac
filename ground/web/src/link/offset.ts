/** How far a vehicle's clock is from the ground's. */

import { spanText } from "../model/age";
import { numberText } from "../model/units";

/** From so much on, somebody should set the clock, milliseconds. */
const FAR_OFF_MS = 10_000;

/** An offset in milliseconds for people: `−3 ms`, `24 h`. */
export function offsetText(ms: number): string {
  if (Math.abs(ms) < 999.5) return `${numberText(ms, 0)} ms`;
  return `${ms < 0 ? "\u2212" : ""}${spanText(Math.abs(ms) / 1e3)}`;
}

/** Whether an offset is none that clocks drift into by themselves. */
export function isFarOff(ms: number): boolean {
  return Math.abs(ms) >= FAR_OFF_MS;
}
