/** A real ground and a real edge, with links between them and to the browser that a test can cut. */

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const BINARIES = resolve(process.env["TERN_BINARIES"] ?? join(__dirname, "../../../../target/debug"));
/** How long a process may take to stop by itself, milliseconds. */
const STOP_MS = 5000;

/** A process of ours, with the end of what it said. */
class Program {
  private readonly process: ChildProcess;
  private log = "";

  constructor(private readonly name: string, args: string[]) {
    this.process = spawn(join(BINARIES, name), args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.on("data", (data: Buffer) => { this.log = (this.log + data.toString()).slice(-20_000); });
    }
    this.process.on("error", (error) => { this.log += String(error); });
  }

  /** Waits until it has said something. */
  async says(pattern: RegExp): Promise<RegExpMatchArray> {
    return until(`${this.name} to say ${pattern}`, () => {
      if (this.process.exitCode !== null) throw new Error(`${this.name} ended:\n${this.log}`);
      return this.log.match(pattern);
    });
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null) return;
    const ended = new Promise((done) => this.process.once("exit", done));
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
  }
}

/** A TCP connection's way from here to there, which can be cut: what is on it is gone, and nothing comes through. */
export class Cable {
  private readonly sockets = new Set<Socket>();
  private isUp = true;
  private waiting: (() => void)[] = [];
  private server!: Server;

  static async to(port: () => number): Promise<Cable> {
    const cable = new Cable();
    cable.server = createServer((near) => {
      cable.keep(near);
      // While it is cut, who connects is left waiting, as on a satellite link.
      const join = () => {
        if (near.destroyed) return;
        const far = connect(port(), "127.0.0.1");
        cable.keep(far);
        near.pipe(far).pipe(near);
        near.on("close", () => far.destroy());
        far.on("close", () => near.destroy());
      };
      if (cable.isUp) join();
      else cable.waiting.push(join);
    });
    await new Promise<void>((done) => cable.server.listen(0, "127.0.0.1", done));
    return cable;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  cut(): void {
    this.isUp = false;
    for (const socket of this.sockets) socket.destroy();
  }

  mend(): void {
    this.isUp = true;
    for (const join of this.waiting.splice(0)) join();
  }

  close(): void {
    this.cut();
    this.server.close();
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  }
}

/** Ground, edge, and the two ways between them and the browser. */
export class System {
  readonly folder = mkdtempSync(join(tmpdir(), "tern-page-"));
  satellite!: Cable;
  web!: Cable;
  private ground!: Program;
  private edge!: Program;
  private groundPort = 0;

  /** Starts everything. `edgeArgs` are beside what names vehicle, ground and spool; they may need files in the folder. */
  static async start(edgeArgs: (folder: string) => string[]): Promise<System> {
    const system = new System();
    system.ground = new Program("tern-ground", ["--listen", "127.0.0.1:0", "--history", join(system.folder, "history.sqlite")]);
    system.groundPort = Number((await system.ground.says(/listening.*?address=\S*?:(\d+)/))[1]);
    system.satellite = await Cable.to(() => system.groundPort);
    system.web = await Cable.to(() => system.groundPort);
    system.edge = new Program("tern-edge", [
      "--vehicle", "alpha", "--ground", `ws://127.0.0.1:${system.satellite.port}/vehicle`,
      "--spool", join(system.folder, "spool.sqlite"), ...edgeArgs(system.folder),
    ]);
    return system;
  }

  /** The page's address. */
  get url(): string {
    return `http://127.0.0.1:${this.web.port}/`;
  }

  async stop(): Promise<void> {
    this.satellite?.close();
    this.web?.close();
    await this.edge?.stop();
    await this.ground?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits until `look` finds something, at most 30 s. */
export async function until<T>(what: string, look: () => T | null | undefined | false | Promise<T | null | undefined | false>): Promise<T> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
