import { describe, expect, it } from "vitest";
import { ageLevel, ageText, agoText, fade } from "./age";

describe("the age of a value", () => {
  it("greys it from 2 s on, wholly at 10 s", () => {
    expect([-1, 0, 2, 6, 10, 1e6].map(fade)).toEqual([0, 0, 0, 0.5, 1, 1]);
    expect([0.3, 2, 2.1, 9.9, 10].map(ageLevel)).toEqual(["fresh", "fresh", "aging", "aging", "old"]);
  });

  it("is short to read", () => {
    expect([0.04, 9.94, 9.96, 119, 120, 3600, 86_400, 200_000].map(ageText))
      .toEqual(["0.0 s", "9.9 s", "10 s", "119 s", "2 min", "60 min", "24 h", "2 d"]);
  });

  it("never is less than zero, but a clock that runs ahead is said to", () => {
    expect(ageText(-0.4)).toBe("0.0 s");
    expect(ageText(-30)).toBe("30 s ahead");
    expect([0.4, -0.4, -30].map(agoText)).toEqual(["0.4 s ago", "0.0 s ago", "30 s ahead"]);
  });
});
