import { expect, it } from "vitest";
import { Slots } from "./slots";

it("no more go on at a time than there are places, first come first served", async () => {
  const slots = new Slots(2);
  const begun: number[] = [];
  const begin = async (n: number) => { await slots.take(); begun.push(n); };
  void begin(1); void begin(2); void begin(3); void begin(4);
  await Promise.resolve(); await Promise.resolve();
  expect(begun).toEqual([1, 2]);
  slots.release();
  await Promise.resolve(); await Promise.resolve();
  expect(begun).toEqual([1, 2, 3]);
});
