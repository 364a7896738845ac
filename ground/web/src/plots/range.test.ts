import { expect, it } from "vitest";
import { bounds, shifted } from "./range";

it("a live range moves with the time, one that was shifted back stands still until it reaches the present", () => {
  expect(bounds({ kind: "live", seconds: 60 }, 1000)).toEqual([940, 1000]);
  const back = shifted({ kind: "live", seconds: 60 }, 1000, -1);
  expect(back).toEqual({ kind: "fixed", from: 910, to: 970 });
  expect(bounds(back, 2000)).toEqual([910, 970]);
  expect(shifted(back, 1000, 1)).toEqual({ kind: "live", seconds: 60 });
  expect(shifted(back, 1100, 1)).toEqual({ kind: "fixed", from: 940, to: 1000 });
});
