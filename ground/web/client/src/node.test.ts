import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { TernClient } from "./client.js";

it("runs on Node with the sockets of ws, and history may be asked for right after connecting", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  server.on("connection", (socket) => {
    const say = (message: object) => socket.send(JSON.stringify({ server_time: 1000, ...message }));
    say({ type: "hello", version: "0", auth_required: false });
    socket.on("message", (data: Buffer) => {
      const { type, id } = JSON.parse(data.toString()) as Record<string, unknown>;
      expect(type).toBe("history");
      say({ type: "records", id, vehicle: "alpha", records: [] });
      say({ type: "history-end", id, records: 0, next: null, error: null });
    });
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = new TernClient({ url: `ws://127.0.0.1:${port}/ws`, open: (url) => new WebSocket(url) });
  client.connect();
  let chunks = 0;
  for await (const _ of client.history({ vehicle: "alpha" })) chunks += 1;
  expect(chunks).toBe(1);
  client.close();
  server.close();
});
