import { expect, it } from "vitest";
import { Backoff } from "./backoff.js";

it("attempts become rarer up to a bound, and start anew after a success", () => {
  const backoff = new Backoff(250, 4000, () => 0);
  expect([1, 2, 3, 4, 5, 6, 7].map(() => backoff.next())).toEqual([250, 500, 1000, 2000, 4000, 4000, 4000]);
  backoff.reset();
  expect(backoff.next()).toBe(250);
});

it("clients that were cut together do not return together", () => {
  expect(new Backoff(1000, 4000, () => 1).next()).toBe(750);
});
