import { describe, expect, it } from "vitest";
import { ResumePoint } from "./resume.js";

const record = (cursor: string, phase?: string) =>
  phase === undefined ? { type: "record" as const, cursor } : { type: "record" as const, cursor, phase };
const ready = (cursor: string) => ({ type: "ready" as const, cursor });

describe("the place of a subscription", () => {
  it("is unknown until something came", () => {
    expect(new ResumePoint().place()).toBeNull();
  });

  it("moves with what comes live", () => {
    const point = new ResumePoint();
    point.take(ready("1"));
    point.take(record("2"));
    point.take({ type: "time", cursor: "5" });
    expect(point.place()).toEqual({ cursor: "5" });
  });

  it("moves with the fill while there is one, and remembers what came live meanwhile", () => {
    const point = new ResumePoint();
    point.take(ready("10"));
    point.resumed();
    expect(point.place()).toEqual({ cursor: "10" });
    point.take(record("20", "snapshot"));
    expect(point.place()).toEqual({ cursor: "10" });
    point.take(ready("20"));
    point.take(record("21"));
    point.take(record("11", "fill"));
    expect(point.place()).toEqual({ cursor: "11", live: "21" });
    expect(point.isIncomplete).toBe(true);
    point.take(record("22"));
    point.filled("20");
    expect(point.place()).toEqual({ cursor: "22" });
    expect(point.isIncomplete).toBe(false);
  });

  it("survives a connection that is lost in the middle of a fill", () => {
    const point = new ResumePoint();
    point.take(ready("10"));
    point.resumed();
    point.take(ready("20"));
    point.take(record("12", "fill"));
    point.resumed();
    expect(point.place()).toEqual({ cursor: "12", live: "20" });
    point.take(ready("30"));
    point.take(record("13", "fill"));
    expect(point.place()).toEqual({ cursor: "13", live: "30" });
  });

  it("stays before what a slow client was not sent", () => {
    const point = new ResumePoint();
    point.take(record("5"));
    point.missed("5");
    point.take(ready("9"));
    point.take(record("10"));
    expect(point.place()).toEqual({ cursor: "5" });
    point.resumed();
    point.take(ready("12"));
    point.filled("11");
    expect(point.place()).toEqual({ cursor: "12" });
  });

  it("begins anew where the ground has another history", () => {
    const point = new ResumePoint();
    point.take(record("5"));
    point.resumed();
    point.take(ready("x1"));
    point.lost();
    expect(point.place()).toEqual({ cursor: "x1" });
  });
});
