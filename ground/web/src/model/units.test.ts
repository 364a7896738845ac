import { expect, it } from "vitest";
import { numberText, valueText } from "./units";

it("values are shown in the units that people read", () => {
  expect(valueText("mavlink/1/1/GLOBAL_POSITION_INT", "mm", 12_345)).toEqual({ text: "12.35", unit: "m" });
  expect(valueText("mavlink/1/1/ATTITUDE", "rad", -Math.PI / 4)).toEqual({ text: "\u221245.0", unit: "°" });
  expect(valueText("humidity", "%", 41.337)).toEqual({ text: "41.34", unit: "%" });
  expect(valueText("lamp", "", true)).toEqual({ text: "true", unit: "" });
});

it("hexadecimal digits have no unit", () => {
  expect(valueText("mavlink/1/1/ESC_TELEMETRY_1_TO_4", "degC", "20202020")).toEqual({ text: "20202020", unit: "" });
});

it("what MAVLink marks as unknown is no number", () => {
  expect(valueText("mavlink/1/1/SYS_STATUS", "mV", 65535).text).toBe("–");
  expect(valueText("counter", "mV", 65535).text).toBe("65.53");
  expect(valueText("mavlink/1/1/X", "mV", null).text).toBe("–");
});

it("times of day are told from times since boot", () => {
  expect(valueText("s", "us", 1_795_373_527_224_504)).toEqual({ text: "18:52:07.2", unit: "UTC" });
  expect(valueText("s", "us", 8_431_626)).toEqual({ text: "8431626", unit: "us" });
});

it("nothing is minus zero", () => {
  expect(numberText(-0.001, 1)).toBe("0.0");
  expect(numberText(-0.06, 1)).toBe("\u22120.1");
});
