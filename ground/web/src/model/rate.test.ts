import { expect, it } from "vitest";
import { RateMeter } from "./rate";

it("an outage does not count as a low rate", () => {
  const meter = new RateMeter();
  for (let i = 0; i < 50; i++) meter.add(100 + i / 10);
  expect(meter.perSecond).toBeCloseTo(10);
  meter.add(200);
  expect(meter.perSecond).toBeCloseTo(10);
});
