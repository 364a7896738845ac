import { describe, expect, it } from "vitest";
import { readFix } from "./position";
import { Stream } from "./stream";

const fix = (fields: Record<string, unknown>) => {
  const stream = new Stream("mavlink/1/1/GPS_RAW_INT");
  return readFix(stream, { captured: 1, received: 1, lane: "live", fields });
};

describe("a position", () => {
  const where = { lat: -353632620, lon: 1491652370 };

  it("is read in degrees", () => {
    expect(fix({ ...where, fix_type: 3 })).toMatchObject({ lat: -35.363262, lon: 149.165237 });
    expect(fix(where)).not.toBeNull();
  });

  it("is none while the receiver has no fix, whatever it reports", () => {
    expect(fix({ ...where, fix_type: 1 })).toBeNull();
    expect(fix({ lat: 0, lon: 0, fix_type: 3 })).toBeNull();
  });
});
