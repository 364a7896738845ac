import { describe, expect, it } from "vitest";
import { columnsOf } from "./columns";

const stretch = (times: number[], values: number[], backlog = times.map(() => 0)) =>
  ({ times: Float64Array.from(times), values: Float64Array.from(values), backlog: Uint8Array.from(backlog) });

describe("a chart's columns", () => {
  it("break where something is missing", () => {
    const columns = columnsOf(null, 0, stretch([0, 1, 2, 20, 21], [1, 2, 3, 4, 5]), 10);
    expect(columns.times).toEqual([0, 1, 2, 11, 20, 21]);
    expect(columns.live).toEqual([10, 20, 30, null, 40, 50]);
    expect(columns.backlog.every((value) => value === null)).toBe(true);
  });

  it("tell what came later from what came live, without a seam", () => {
    const columns = columnsOf(null, 0, stretch([0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [0, 0, 1, 1, 0]), 1);
    expect(columns.live).toEqual([1, 2, null, 4, 5]);
    expect(columns.backlog).toEqual([null, 2, 3, 4, null]);
  });

  it("join history and what came since, each moment once", () => {
    const history = {
      width: 10, times: [0, 10, 20, 60], mean: [1, 2, 3, 9], min: [0, 1, 2, 8], max: [2, 3, 4, 10],
      backlog: [false, false, false, false],
    };
    const columns = columnsOf(history, 30, stretch([28, 31, 32, 33], [7, 4, 5, 6]), 1);
    expect(columns.times).toEqual([5, 15, 25, 31, 32, 33]);
    expect(columns.live).toEqual([1, 2, 3, 4, 5, 6]);
    expect(columns.max).toEqual([2, 3, 4, 4, 5, 6]);
  });

  it("are none where a field has no value", () => {
    expect(columnsOf(null, 0, stretch([0, 1], [NaN, NaN]), 1).times).toEqual([]);
    expect(columnsOf(null, 0, stretch([0, 1, 2], [1, Infinity, 2]), 1).live).toEqual([1, null, 2]);
  });
});
