import { expect, it } from "vitest";
import { SeenRecords } from "./seen.js";

it("a record is new once, as far as memory goes", () => {
  const seen = new SeenRecords(2);
  const record = (seq: number, epoch = "a") => ({ vehicle: "alpha", epoch, seq });
  expect([1, 1, 2, 1].map((seq) => seen.add(record(seq)))).toEqual([true, false, true, false]);
  expect(seen.add(record(1, "b"))).toBe(true);
  expect(seen.add(record(1))).toBe(true); // forgotten
});
