import { expect, it } from "vitest";
import { fromKeys, fromPointer, isStickKey } from "./stick";

it("keys push as far as they may, and against each other not at all", () => {
  expect(fromKeys(["ArrowUp", "d"])).toEqual([0.7, 0.7]);
  expect(fromKeys(["ArrowUp", "w"])).toEqual([0, 0.7]);
  expect(fromKeys(["ArrowLeft", "ArrowRight"])).toEqual([0, 0]);
  expect(fromKeys([])).toEqual([0, 0]);
  expect([isStickKey("w"), isStickKey("x")]).toEqual([true, false]);
});

it("a pointer holds the stick within its circle, and the middle is easy to find", () => {
  expect(fromPointer(100, 50, 100)).toEqual([1, 0]);
  expect(fromPointer(50, 0, 100)).toEqual([0, 1]);
  expect(fromPointer(51, 51, 100)).toEqual([0, 0]);
  const [right, forward] = fromPointer(300, -200, 100);
  expect(Math.hypot(right, forward)).toBeCloseTo(1);
});
