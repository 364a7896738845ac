import { expect, it } from "vitest";
import { bearingDeg, distanceM, distanceText } from "./geo";

const zurich = { lat: 47.3769, lon: 8.5417 };
const bern = { lat: 46.948, lon: 7.4474 };

it("distances and directions are those of the globe", () => {
  expect(distanceM(zurich, bern)).toBeCloseTo(95_480, -3);
  expect(bearingDeg(zurich, bern)).toBeCloseTo(240.5, 0);
  expect(distanceM(zurich, zurich)).toBe(0);
  expect(bearingDeg({ lat: 0, lon: 179.9 }, { lat: 0, lon: -179.9 })).toBeCloseTo(90);
});

it("distances are short to read", () => {
  expect([4.2, 38.4, 1240, 31_400, 640_000].map((m) => Object.values(distanceText(m)).join(" ")))
    .toEqual(["4.2 m", "38 m", "1.24 km", "31.4 km", "640 km"]);
});
