import { describe, expect, it } from "vitest";
import { MissingRecords } from "./missing";

function book(...numbers: number[]): MissingRecords {
  const made = new MissingRecords();
  for (const seq of numbers) made.add("a", seq, 0);
  return made;
}

describe("what is missing", () => {
  it("is what lies between numbers that came", () => {
    expect(book(5, 6, 7).count).toBe(0);
    expect(book(5, 10, 12).count).toBe(5);
    expect(book(5, 10, 9, 8, 7, 6).count).toBe(0);
    expect(book(5, 10, 7, 7, 8).count).toBe(2);
  });

  it("is nothing from before this page was open, nor what a restart left unused", () => {
    expect(book(100, 50, 101).count).toBe(0);
    expect(book(1, 2 + 2 ** 32, 4 + 2 ** 32).count).toBe(1);
  });

  it("begins anew with a new epoch", () => {
    const missing = book(1, 10);
    missing.add("b", 3, 0);
    expect(missing.count).toBe(0);
  });

  it("agrees with a plain count, whatever the order", () => {
    const numbers = Array.from({ length: 500 }, (_, i) => i).filter((i) => i === 0 || i === 499 || i % 7 !== 3);
    let seed = 7;
    const shuffled = [0, ...numbers.slice(1).map((n) => ({ n, key: (seed = (seed * 16_807) % 2_147_483_647) }))
      .sort((a, b) => a.key - b.key).map(({ n }) => n)];
    expect(book(...shuffled).count).toBe(500 - numbers.length);
  });

  it("has a rate at which it is filled", () => {
    const missing = new MissingRecords();
    missing.add("a", 0, 0);
    missing.add("a", 100, 1);
    for (let i = 0; i < 50; i++) missing.add("a", 99 - i, 2 + i / 10);
    expect(missing.fillRate(8)).toBe(5);
    expect(missing.fillRate(30)).toBe(0);
  });
});
