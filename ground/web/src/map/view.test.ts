import { describe, expect, it } from "vitest";
import { distanceM } from "../model/geo";
import { View, fromWorld, roundDown, toWorld } from "./view";

const zurich = { lat: 47.3977, lon: 8.5456 };

function view(zoom = 15): View {
  const made = new View();
  Object.assign(made, { centre: zurich, zoom, width: 800, height: 600 });
  return made;
}

describe("a map's view", () => {
  it("is Web Mercator", () => {
    expect(toWorld({ lat: 0, lon: 0 })).toEqual([0.5, 0.5]);
    expect(toWorld({ lat: 85.05112878, lon: 180 })[1]).toBeCloseTo(0, 6);
    const { lat, lon } = fromWorld(toWorld(zurich));
    expect([lat, lon].map((x) => x.toFixed(9))).toEqual(["47.397700000", "8.545600000"]);
  });

  it("knows how long a pixel is", () => {
    const map = view();
    const [a, b] = [map.unproject([0, 300]), map.unproject([100, 300])];
    expect(distanceM(a, b) / 100 / map.metresPerPixel()).toBeCloseTo(1, 2);
  });

  it("zooms about the pointer", () => {
    const map = view();
    const before = map.unproject([100, 500]);
    map.zoomAt([100, 500], 17.3);
    const after = map.unproject([100, 500]);
    expect(distanceM(before, after)).toBeLessThan(0.01);
    map.zoomAt([0, 0], 99);
    expect(map.zoom).toBe(20);
  });

  it("follows the hand that drags it", () => {
    const map = view();
    const grabbed = map.unproject([200, 200]);
    map.pan(30, -40);
    expect(map.project(grabbed).map(Math.round)).toEqual([230, 160]);
  });

  it("crosses the date line", () => {
    const map = view(6);
    map.centre = { lat: 0, lon: 179.9 };
    const [x] = map.project({ lat: 0, lon: -179.9 });
    expect(x).toBeGreaterThan(400);
    expect(x).toBeLessThan(420);
    map.pan(-100, 0);
    expect(map.centre.lon).toBeLessThan(-170);
  });

  it("fits places, and one alone at a sensible scale", () => {
    const map = view();
    map.fit([zurich, { lat: 46.948, lon: 7.4474 }]);
    expect(map.contains(map.project(zurich), 59)).toBe(true);
    map.fit([zurich]);
    expect(map.zoom).toBe(17);
  });
});

it("scales are round", () => {
  expect([1, 1.9, 2, 4.9, 7, 430, 0.3].map(roundDown).map((x) => +x.toPrecision(3))).toEqual([1, 1, 2, 2, 5, 200, 0.2]);
});
