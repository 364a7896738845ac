import { expect, it } from "vitest";
import { Track } from "./track";

const fix = (captured: number, backlog = false) => ({ lat: captured / 1e3, lon: 0, captured, received: captured, backlog });
const outline = (track: Track) => track.pieces().map(({ kind, from, to }) => `${kind} ${from}-${to}`);

it("an outage leaves a gap, which closes as its fixes come", () => {
  const track = new Track();
  for (const t of [0, 1, 2, 20, 21]) track.add(fix(t));
  expect(outline(track)).toEqual(["live 0-2", "gap 2-20", "live 20-21"]);
  // Newest first, as the vehicle sends them.
  for (let t = 19; t > 10; t--) track.add(fix(t, true));
  expect(outline(track)).toEqual(["live 0-2", "gap 2-11", "backlog 11-19", "live 19-21"]);
  for (let t = 10; t > 2; t--) track.add(fix(t, true));
  expect(outline(track)).toEqual(["live 0-2", "backlog 2-19", "live 19-21"]);
});

it("fixes that come too often are thinned", () => {
  const track = new Track();
  for (let t = 0; t < 100; t++) track.add(fix(t / 10));
  expect(track.length).toBe(20);
});
