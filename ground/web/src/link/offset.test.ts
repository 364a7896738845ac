import { expect, it } from "vitest";
import { isFarOff, offsetText } from "./offset";

it("a clock's offset is said in the unit that fits it, and far off from 10 s on", () => {
  const offsets = [-3, 0, 999, -1500, 10_000, -600_000, 7_200_000, -86_400_000, 864_000_000];
  expect(offsets.map(offsetText)).toEqual(["\u22123 ms", "0 ms", "999 ms", "\u22121.5 s", "10 s", "\u221210 min", "2 h", "\u221224 h", "10 d"]);
  expect(offsets.map(isFarOff)).toEqual([false, false, false, false, true, true, true, true, true]);
});
