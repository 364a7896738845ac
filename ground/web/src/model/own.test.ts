import { expect, it } from "vitest";
import { ownFields } from "./own";
import { Stream } from "./stream";

const stream = (name: string, fields: Record<string, unknown>) => {
  const made = new Stream(name);
  made.take({ captured: 1, received: 1, lane: "live", fields });
  return made;
};

it("a vehicle's own streams tell all their numbers but a position and what is a reading already", () => {
  const rover = stream("rover", { lat: 47.3, lon: 8.5, speed_m_s: 1.5, heading_deg: 90, name: "r2" });
  const others = [stream("tern/edge", { wire_bytes: 9 }), stream("mavlink/1/1/VFR_HUD", { alt: 3 }), stream("gas", { ppm: 4 })];
  const own = ownFields([rover, ...others], [{ stream: rover, field: "heading_deg" }]);
  expect(own.map(({ stream: { name }, field }) => `${name} ${field}`)).toEqual(["gas ppm", "rover speed_m_s"]);
});

it("are bounded", () => {
  const many = stream("many", Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`n${i}`, i])));
  expect(ownFields([many], []).length).toBe(12);
});
