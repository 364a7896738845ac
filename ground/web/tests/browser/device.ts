/** Devices at the edge's side: a lamp and a rover that speak JSON lines, as the edge's configuration names them. */

import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** How often devices say where they are, milliseconds. */
const PERIOD_MS = 200;

/** A device that takes lines and says lines. */
abstract class Device {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly timer: NodeJS.Timeout;

  constructor() {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      let rest = "";
      socket.on("data", (data) => {
        const lines = (rest + data.toString()).split("\n");
        rest = lines.pop()!;
        for (const line of lines) if (line.trim()) this.take(JSON.parse(line) as Record<string, unknown>);
      });
      this.report();
    });
    this.timer = setInterval(() => this.report(), PERIOD_MS);
  }

  async listen(): Promise<this> {
    await new Promise<void>((done) => this.server.listen(0, "127.0.0.1", done));
    return this;
  }

  /** Where the edge connects to. */
  get source(): string {
    return `jsonl+tcpout:127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    clearInterval(this.timer);
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  protected say(line: object): void {
    for (const socket of this.sockets) socket.write(`${JSON.stringify(line)}\n`);
  }

  protected abstract take(line: Record<string, unknown>): void;
  protected abstract report(): void;
}

export class Lamp extends Device {
  isOn = false;
  /** How often it was switched. */
  switched = 0;

  protected take({ id, command, arguments: given }: Record<string, unknown>): void {
    if (command !== "switch") return this.say({ id, state: "rejected", detail: "a lamp can be switched only" });
    this.isOn = (given as { on?: unknown }).on === true;
    this.switched += 1;
    this.say({ id, state: "done" });
    this.report();
  }

  protected report(): void {
    this.say({ stream: "lamp", on: this.isOn });
  }
}

export class Rover extends Device {
  steering = 0;
  throttle = 0;

  protected take({ steering, throttle }: Record<string, unknown>): void {
    [this.steering, this.throttle] = [Number(steering), Number(throttle)];
    this.report();
  }

  protected report(): void {
    this.say({ stream: "rover", steering: this.steering, throttle: this.throttle, lat: 47.4, lon: 8.5 });
  }
}
