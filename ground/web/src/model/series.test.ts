import { describe, expect, it } from "vitest";
import { Series } from "./series";

const all = (series: Series, name = "v") => {
  const { times, values, backlog } = series.stretch(name, -Infinity, Infinity);
  return { times: [...times], values: [...values], backlog: [...backlog] };
};

describe("a series", () => {
  it("puts what fills a gap where it belongs", () => {
    const series = new Series();
    for (const t of [1, 2, 5]) series.insert(t, "live", { v: t * 10 });
    series.insert(4, "backlog", { v: 40 });
    series.insert(3, "backlog", { v: 30 });
    expect(all(series)).toEqual({ times: [1, 2, 3, 4, 5], values: [10, 20, 30, 40, 50], backlog: [0, 0, 1, 1, 0] });
  });

  it("holds each sample once, however often it comes", () => {
    const series = new Series();
    series.insert(1, "live", { v: 1 });
    series.insert(1, "backlog", { v: 2 });
    expect(all(series)).toEqual({ times: [1], values: [2], backlog: [1] });
  });

  it("drops the oldest when it is full, and takes nothing older than all it keeps", () => {
    const series = new Series(16);
    for (let t = 0; t < 17; t++) series.insert(t, "live", { v: t });
    expect(series.length).toBe(15);
    expect([series.first, series.last]).toEqual([2, 16]);
    series.insert(17, "live", { v: 17 });
    series.insert(0, "backlog", { v: 0 });
    expect([series.first, series.last, series.length]).toEqual([2, 17, 16]);
  });

  it("stays sorted and bounded whatever comes", () => {
    const series = new Series(64);
    let seed = 1;
    for (let i = 0; i < 2000; i++) {
      seed = (seed * 16_807) % 2_147_483_647;
      series.insert(i + (seed % 100) - 50, seed % 2 ? "live" : "backlog", { v: i });
    }
    const { times } = all(series);
    expect(times.length).toBeLessThanOrEqual(64);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  it("keeps fields that come and go apart", () => {
    const series = new Series();
    series.insert(1, "live", { a: 1, text: "x", on: true });
    series.insert(2, "live", { b: 2 });
    expect(series.fields).toEqual(["a", "on", "b"]);
    expect(all(series, "a").values).toEqual([1, NaN]);
    expect(all(series, "b").values).toEqual([NaN, 2]);
    expect(all(series, "none").values).toEqual([NaN, NaN]);
  });

  it("gives a stretch with its neighbours, so that lines reach the edges", () => {
    const series = new Series();
    for (let t = 0; t < 10; t++) series.insert(t, "live", { v: t });
    expect([...series.stretch("v", 3.5, 5.5).times]).toEqual([3, 4, 5, 6]);
  });

  it("grows", () => {
    const series = new Series(2000);
    for (let t = 0; t < 1500; t++) series.insert(t, "live", { v: t });
    expect(all(series).values[1499]).toBe(1499);
  });
});
