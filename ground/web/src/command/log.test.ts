import { expect, it } from "vitest";
import type { CommandStatus, CommandStep } from "../../client/src";
import { CommandLog, actionText, levelOf, progressOf, secondsLeft, stateText } from "./log";

const command = (id: string, ...steps: CommandStep[]): CommandStatus => ({
  id, vehicle: "alpha", issuer: "ops", issued: 100, expires: 110, key: "lamp", steps,
  action: { kind: "device", device: "lamp", command: "switch", arguments: { on: true } },
  state: steps.at(-1)?.state ?? "queued",
});
const step = (state: CommandStep["state"], more: Partial<CommandStep> = {}): CommandStep =>
  ({ state, t: 101, by: "ground", ...more });

it("a command counts down until it has begun or never will", () => {
  expect(secondsLeft(command("a", step("sent")), 103)).toBe(7);
  expect(secondsLeft(command("a", step("sent")), 200)).toBe(0);
  expect(secondsLeft(command("a", step("sent"), step("accepted")), 103)).toBeNull();
  expect(secondsLeft(command("a", step("expired")), 103)).toBeNull();
});

it("its state is said with the reason", () => {
  expect(stateText(command("a"))).toBe("Waiting at the ground");
  expect(stateText(command("a", step("expired", { reason: "not-delivered" })))).toBe("Expired: not delivered");
  expect(stateText(command("a", step("rejected", { reason: "denied", detail: "not armable" })))).toBe("Rejected: not armable");
  expect(stateText(command("a", step("accepted", { progress: 40 })))).toBe("Accepted, 40 %");
  expect([levelOf(command("a", step("done"))), levelOf(command("a", step("failed"))), levelOf(command("a"))])
    .toEqual(["good", "bad", "waiting"]);
  expect(progressOf(command("a", step("queued"), step("sent"), step("rejected")))).toBe(1);
});

it("what it asks for is said in words", () => {
  expect([
    { kind: "device", device: "lamp", command: "switch", arguments: { on: true } },
    { kind: "device", device: "winch", command: "release", arguments: {} },
    { kind: "mavlink", name: "rtl", command: 20 },
    { kind: "mavlink", name: "force-arm", command: 400 },
    { kind: "mavlink", name: null, command: 42 },
  ].map(actionText)).toEqual(["lamp on", "winch: release", "Return to launch", "force arm", "MAV_CMD 42"]);
});

it("the log keeps one entry a command, newest first, and no more than it may", () => {
  const log = new CommandLog(2);
  log.take(command("a", step("queued")));
  log.take({ ...command("b"), issued: 200 });
  log.take(command("a", step("done")));
  expect(log.entries.map(({ id, state }) => `${id} ${state}`)).toEqual(["b queued", "a done"]);
  expect(log.newest("alpha", "lamp")?.id).toBe("b");
  log.take({ ...command("c"), issued: 300 });
  expect(log.entries.map(({ id }) => id)).toEqual(["c", "b"]);
});
