import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Backoff } from "./backoff.js";
import { TernClient } from "./client.js";
import { GroundClock } from "./clock.js";
import type { ConnectionState, Socket } from "./connection.js";
import { HistoryError } from "./history.js";
import type { RecordMessage } from "./types.js";

/** A socket whose other end is the test. */
class FakeSocket {
  readyState: number = 1;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;
  readonly sent: Record<string, unknown>[] = [];

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {
    this.readyState = 3;
  }

  say(...messages: object[]): void {
    for (const message of messages) this.onmessage?.({ data: JSON.stringify(message) });
  }

  drop(): void {
    this.readyState = 3;
    this.onclose?.({ code: 1006, reason: "" });
  }
}

const hello = (auth_required = false) => ({ type: "hello", server_time: 1000, version: "0", auth_required });
const ready = (cursor: string) => ({ type: "ready", server_time: 1000, cursor });
const record = (seq: number, more: object = {}) => ({
  type: "record", cursor: `c${seq}`, vehicle: "alpha", stream: "s", t: seq, received: 1000, lane: "live", seq, epoch: "e",
  fields: { n: seq }, ...more,
});

describe("a client", () => {
  let sockets: FakeSocket[];
  let states: ConnectionState["phase"][];
  let records: RecordMessage[];
  let token: string | null;

  beforeEach(() => {
    vi.useFakeTimers();
    [sockets, states, records, token] = [[], [], [], null];
  });
  afterEach(() => vi.useRealTimers());

  const open = () => {
    const client = new TernClient({
      url: "ws://ground/ws", token: () => token, clock: new GroundClock(() => 1000), backoff: new Backoff(100, 100, () => 0),
      open: () => {
        const socket = new FakeSocket();
        sockets.push(socket);
        return socket;
      },
    }, { onState: ({ phase }) => states.push(phase) });
    client.subscribe({ streams: ["s"] }, { onRecord: (message) => records.push(message) });
    client.connect();
    return client;
  };
  const socket = () => sockets.at(-1)!;

  it("subscribes once the ground has said hello", () => {
    open();
    expect(socket().sent).toEqual([]);
    socket().say(hello());
    expect(socket().sent).toEqual([{ type: "subscribe", streams: ["s"] }]);
    socket().say(record(1, { phase: "snapshot" }), ready("c1"), record(2));
    expect(states).toEqual(["connecting", "open"]);
    expect(records.map(({ seq }) => seq)).toEqual([1, 2]);
  });

  it("says at once that the connection is lost, and resumes where it stood", () => {
    open();
    socket().say(hello(), ready("c0"), record(1), record(2));
    socket().drop();
    expect(states.at(-1)).toBe("lost");
    vi.advanceTimersByTime(100);
    expect(sockets.length).toBe(2);
    socket().say(hello());
    expect(socket().sent).toEqual([{ type: "resume", streams: ["s"], cursor: "c2" }]);
    socket().say(record(5, { phase: "snapshot" }), ready("c5"), record(6), record(3, { phase: "fill" }));
    socket().drop();
    vi.advanceTimersByTime(100);
    socket().say(hello());
    expect(socket().sent).toEqual([{ type: "resume", streams: ["s"], cursor: "c3", live: "c6" }]);
    expect(states).toEqual(["connecting", "open", "lost", "open", "lost"]);
  });

  it("drops what a killed ground publishes a second time", () => {
    open();
    socket().say(hello(), ready("c0"), record(1));
    socket().drop();
    vi.advanceTimersByTime(100);
    socket().say(hello(), ready("d0"), record(1, { phase: "fill", cursor: "d1" }), record(2));
    expect(records.map(({ seq }) => seq)).toEqual([1, 2]);
  });

  it("takes silence for a lost connection", () => {
    open();
    socket().say(hello(), ready("c0"));
    vi.advanceTimersByTime(11_000);
    socket().say({ type: "time", server_time: 1011 });
    vi.advanceTimersByTime(11_000);
    expect(states.at(-1)).toBe("open");
    vi.advanceTimersByTime(1_100);
    expect(sockets.length).toBe(2);
  });

  it("waits for a token where one is asked for, and for another where it is wrong", () => {
    const client = open();
    socket().say(hello(true));
    expect(states.at(-1)).toBe("refused");
    token = "wrong";
    client.connect();
    socket().say(hello(true));
    expect(socket().sent[0]).toEqual({ type: "authenticate", token: "wrong" });
    socket().say({ type: "error", code: "not-authorized", message: "no" });
    vi.advanceTimersByTime(60_000);
    expect([states.at(-1), sockets.length]).toEqual(["refused", 2]);
  });

  it("asks for what it was too slow for", () => {
    open();
    socket().say(hello(), ready("c0"), record(1), { type: "missed", count: 9, from: "c1" }, ready("c10"), record(11));
    vi.advanceTimersByTime(5_000);
    expect(socket().sent.at(-1)).toEqual({ type: "resume", streams: ["s"], cursor: "c1" });
  });

  it("reads history in parts, as long as there is more", async () => {
    const client = open();
    socket().say(hello(), ready("c0"));
    const read = (async () => {
      const counts = [];
      for await (const chunk of client.history({ vehicle: "alpha" })) {
        counts.push(chunk.type === "records" ? chunk.records.length : -1);
      }
      return counts;
    })();
    await vi.advanceTimersByTimeAsync(0);
    expect(socket().sent.at(-1)).toEqual({ type: "history", id: "h1", vehicle: "alpha" });
    const end = { type: "history-end", records: 2, error: null };
    socket().say({ type: "records", id: "h1", vehicle: "alpha", records: [record(1), record(2)] }, { ...end, id: "h1", next: "x" });
    await vi.advanceTimersByTimeAsync(0);
    expect(socket().sent.at(-1)).toEqual({ type: "history", id: "h2", vehicle: "alpha", after: "x" });
    socket().say({ type: "records", id: "h2", vehicle: "alpha", records: [record(3)] }, { ...end, id: "h2", next: null });
    expect(await read).toEqual([2, 1]);
  });

  it("says why there is no history", async () => {
    const client = open();
    socket().say(hello(), ready("c0"));
    const read = async () => { for await (const _ of client.history({ vehicle: "beta" })); };
    const refused = read();
    await vi.advanceTimersByTimeAsync(0);
    socket().say({ type: "error", code: "unknown-vehicle", message: "no such vehicle", id: "h1" });
    await expect(refused).rejects.toThrow("no such vehicle");
    const lost = read();
    await vi.advanceTimersByTimeAsync(0);
    socket().drop();
    await expect(lost).rejects.toSatisfy((error) => error instanceof HistoryError && error.code === "lost");
  });

  it("follows commands on every connection, and again where some were missed", () => {
    const client = open();
    socket().say(hello(), ready("c0"));
    const follow = { type: "follow-commands", vehicles: ["alpha"] };
    client.followCommands(["alpha"]);
    expect(socket().sent.at(-1)).toEqual(follow);
    socket().drop();
    vi.advanceTimersByTime(100);
    socket().say(hello(), ready("c1"));
    expect(socket().sent.at(-1)).toEqual(follow);
    socket().say({ type: "commands-missed" });
    expect(socket().sent.filter(({ type }) => type === "follow-commands").length).toBe(2);
  });

  it("follows the commands of vehicles that it learns of before the connection stands", () => {
    const client = open();
    socket().say(hello(), record(1));
    client.followCommands(["alpha"]);
    socket().say(ready("c1"));
    expect(socket().sent.at(-1)).toEqual({ type: "follow-commands", vehicles: ["alpha"] });
  });

  it("hands a command to the ground once, and says what became of the asking", async () => {
    const client = open();
    socket().say(hello(), ready("c0"));
    const taken = client.command("alpha", { action: { kind: "rtl" }, ttl_ms: 5000 });
    const asked = socket().sent.at(-1)!;
    expect(asked).toMatchObject({ type: "command", vehicle: "alpha", action: { kind: "rtl" }, ttl_ms: 5000 });
    expect(asked["id"]).toMatch(/^[0-9a-f]{16}$/);
    socket().say({ type: "command", id: asked["id"], vehicle: "alpha", state: "queued", steps: [] });
    expect((await taken).state).toBe("queued");
    const refused = client.command("alpha", { action: { kind: "arm" } });
    socket().say({ type: "error", code: "forbidden", message: "may not", id: socket().sent.at(-1)!["id"] });
    await expect(refused).rejects.toThrow("may not");
    const unanswered = client.command("alpha", { action: { kind: "land" } });
    socket().drop();
    await expect(unanswered).rejects.toThrow("lost before");
    await expect(client.command("alpha", { action: { kind: "rtl" } })).rejects.toThrow("no connection");
    expect(client.setPoint("alpha", "drive", [0, 1], 1500)).toBe(false);
  });

  it("keeps what is asked for before the connection stands, a command for no longer than it may wait", async () => {
    const client = open();
    const read = (async () => { for await (const _ of client.history({ vehicle: "alpha" })) break; })();
    const taken = client.command("alpha", { action: { kind: "rtl" }, ttl_ms: 5000 });
    const late = client.command("alpha", { action: { kind: "arm" }, ttl_ms: 1000 });
    const refused = expect(late).rejects.toThrow("no connection");
    await vi.advanceTimersByTimeAsync(2000);
    await refused;
    expect(socket().sent).toEqual([]);
    socket().say(hello(), ready("c0"));
    await vi.advanceTimersByTimeAsync(0);
    const sent = (type: string) => socket().sent.filter((message) => message["type"] === type);
    expect(sent("history")).toMatchObject([{ id: "h1" }]);
    expect(sent("command")).toMatchObject([{ action: { kind: "rtl" }, ttl_ms: 3000 }]);
    socket().say({ type: "records", id: "h1", vehicle: "alpha", records: [] });
    socket().say({ type: "command", id: sent("command")[0]!["id"], vehicle: "alpha", state: "queued", steps: [] });
    await read;
    expect((await taken).state).toBe("queued");
  });

  it("waits for the first connection 10 s at most, and not at all once it is closed", async () => {
    const client = open();
    const read = async () => { for await (const _ of client.history({ vehicle: "alpha" })); };
    const inVain = expect(read()).rejects.toThrow("no connection");
    await vi.advanceTimersByTimeAsync(10_000);
    await inVain;
    client.connect();
    const waiting = [read(), client.command("alpha", { action: { kind: "rtl" } })];
    client.close();
    for (const each of waiting) await expect(each).rejects.toThrow("no connection");
    await expect(read()).rejects.toThrow("no connection");
  });

  it("says what it needs where there is no WebSocket", () => {
    vi.stubGlobal("WebSocket", undefined);
    expect(() => new TernClient({ url: "ws://ground/ws" })).toThrow("the option `open`");
    vi.unstubAllGlobals();
  });

  it("cancels history that nobody reads any more", async () => {
    const client = open();
    socket().say(hello(), ready("c0"));
    const read = (async () => { for await (const _ of client.history({ vehicle: "alpha" })) break; })();
    await vi.advanceTimersByTimeAsync(0);
    socket().say({ type: "records", id: "h1", vehicle: "alpha", records: [] });
    await read;
    expect(socket().sent.at(-1)).toEqual({ type: "cancel", id: "h1" });
  });
});
