import { expect, it } from "vitest";
import type { HistoryQuery } from "../../client/src";
import { HistoryError, type HistoryChunk } from "../../client/src/history";
import { Store } from "../model/store";
import { loadTexts } from "./past";

const STREAM = "mavlink/1/1/STATUSTEXT";
const said = (t: number, text: string) =>
  ({ stream: STREAM, t, received: t, lane: "live", seq: t, epoch: "e", fields: { text, severity: 6 } });

it("what was said before the page was opened is shown in its place, once", async () => {
  const asked: HistoryQuery[] = [];
  let isLost = true;
  const client = {
    async *history(query: HistoryQuery) {
      asked.push(query);
      if (isLost) throw new HistoryError("lost", "the connection was lost");
      yield { type: "records", id: "1", records: [said(5000, "Takeoff"), said(5010, "Climbing")] } as unknown as HistoryChunk;
    },
  };
  const store = new Store();
  store.takeVehicle({ type: "vehicle", cursor: "c", vehicle: "alpha", connected: true, last_received: null, clock_offset_ms: 2000 } as never);
  store.takeRecord({ type: "record", cursor: "c", vehicle: "alpha", phase: "snapshot", ...said(5010, "Climbing") } as never);
  const texts = () => store.selected?.texts.map(({ captured, text }) => [captured, text]);
  const load = async () => {
    loadTexts(store, client as never);
    await new Promise((done) => setTimeout(done));
  };
  await load();
  expect(asked).toEqual([]);
  [store.isOnline, store.completeSince] = [true, 6000];
  await load();
  expect([asked.length, texts()?.length]).toEqual([1, 1]);
  isLost = false;
  await load();
  await load();
  expect(texts()).toEqual([[5002, "Takeoff"], [5012, "Climbing"]]);
  expect(asked).toHaveLength(2);
  expect(asked[1]).toMatchObject({ vehicle: "alpha", streams: ["mavlink/*/STATUSTEXT"], from: 6000 - 3600 - 2, to: 5998 });
});
