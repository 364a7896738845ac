import { expect, it } from "vitest";
import { modesOf, readHeartbeat } from "./modes";

it("modes are those of the autopilot and the vehicle", () => {
  const read = (type: number, autopilot: number, custom_mode: number, base_mode = 81) =>
    readHeartbeat({ type, autopilot, custom_mode, base_mode });
  expect(read(2, 3, 6)).toEqual({ mode: "RTL", armed: false, kind: "copter", table: "copter" });
  expect(read(1, 3, 10, 209)).toMatchObject({ mode: "Auto", armed: true, table: "plane" });
  // The same number is another mode on every kind of vehicle, and a boat is a rover.
  const four = [2, 1, 10, 11, 12].map((type) => read(type, 3, 4)?.mode);
  expect(four).toEqual(["Guided", "Acro", "Hold", "Hold", "Guided"]);
  expect([2, 1, 10, 12].map((type) => read(type, 3, 9)?.mode)).toEqual(["Land", "Mode 9", "Circle", "Surface"]);
  // A kind whose numbers are not known has no names rather than wrong ones.
  expect(read(5, 3, 4)).toMatchObject({ mode: "Mode 4", table: "" });
  expect(read(2, 12, (4 << 16) | (5 << 24))?.mode).toBe("RTL");
  expect(read(2, 12, 3 << 16)?.mode).toBe("Position");
  expect(read(2, 3, 99)?.mode).toBe("Mode 99");
});

it("a ground station's heartbeat is none of the vehicle", () => {
  expect(readHeartbeat({ type: 6, autopilot: 8, custom_mode: 0, base_mode: 0 })).toBeNull();
  expect(readHeartbeat({})).toBeNull();
});

it("modes to choose from are those whose numbers are known", () => {
  expect(modesOf("copter")).toContainEqual([6, "RTL"]);
  expect(modesOf("rover")).toContainEqual([11, "RTL"]);
  expect(modesOf("rover").map(([, name]) => name)).not.toContain("Initialising");
  expect(modesOf("")).toEqual([]);
});
