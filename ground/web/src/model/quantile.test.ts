import { describe, expect, it } from "vitest";
import { LatencyMeter, quantile } from "./quantile";

it("quantiles are the nearest rank", () => {
  const hundred = Float64Array.from({ length: 100 }, (_, i) => i + 1);
  expect([0, 0.5, 0.99, 1].map((q) => quantile(hundred, q))).toEqual([1, 50, 99, 100]);
  expect(quantile([], 0.5)).toBeNull();
});

describe("the latency meter", () => {
  it("forgets what is older than its window", () => {
    const meter = new LatencyMeter(10, 5);
    meter.add(100, 300);
    meter.add(109, 500);
    expect(meter.recent(109)).toEqual({ p50: 300, p99: 500, count: 2 });
    expect(meter.recent(111)).toEqual({ p50: 500, p99: 500, count: 1 });
    expect(meter.recent(200)).toEqual({ p50: null, p99: null, count: 0 });
  });

  it("shows an outage as a hole in the past", () => {
    const meter = new LatencyMeter(10, 5);
    meter.add(100, 300);
    meter.add(112, 320);
    expect(meter.points(115)).toEqual([
      { time: 100, p50: 300, p99: 300 },
      { time: 105, p50: null, p99: null },
      { time: 110, p50: 320, p99: 320 },
    ]);
  });

  it("is bounded, whatever comes and however long nothing does", () => {
    const meter = new LatencyMeter(1e9, 1, 10, 64);
    for (let i = 0; i < 1000; i++) meter.add(i, 1);
    meter.add(1e9, 1);
    expect(meter.points(1e9).length).toBeLessThanOrEqual(10);
    expect(meter.recent(1e9).count).toBeLessThanOrEqual(64);
  });
});
