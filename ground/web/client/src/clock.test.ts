import { expect, it } from "vitest";
import { GroundClock } from "./clock.js";

it("the ground's time is the latest that its messages allow", () => {
  let here = 100;
  const clock = new GroundClock(() => here);
  expect(clock.now()).toBe(100);
  clock.learn(1099.5); // half a second on its way
  expect(clock.now()).toBe(1099.5);
  here = 101;
  clock.learn(1100.9); // a tenth
  here = 105;
  expect(clock.now()).toBeCloseTo(1104.9);
  clock.learn(1104.0);
  expect(clock.now()).toBeCloseTo(1104.9);
});
