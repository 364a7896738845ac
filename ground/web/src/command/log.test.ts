import { expect, it } from "vitest";
import { CommandLog, isFinal, levelOf, progressOf, secondsLeft, stateText, type CommandEntry, type CommandStep } from "./log";

const entry = (id: string, ...steps: CommandStep[]): CommandEntry =>
  ({ id, vehicle: "alpha", label: "Lamp on", issuer: "ops", issued: 100, ttlS: 10, steps });
const step = (state: CommandStep["state"], more: Partial<CommandStep> = {}): CommandStep => ({ state, at: 101, ...more });

it("a command counts down until it has begun or never will", () => {
  expect(secondsLeft(entry("a", step("sent")), 103)).toBe(7);
  expect(secondsLeft(entry("a", step("sent")), 200)).toBe(0);
  expect(secondsLeft(entry("a", step("sent"), step("accepted")), 103)).toBeNull();
  expect(secondsLeft(entry("a", step("expired")), 103)).toBeNull();
});

it("its state is said with the reason", () => {
  expect(stateText(entry("a"))).toBe("Waiting at the ground");
  expect(stateText(entry("a", step("expired", { reason: "not-delivered" })))).toBe("Expired: not delivered");
  expect(stateText(entry("a", step("rejected", { reason: "denied", detail: "not armable" })))).toBe("Rejected: not armable");
  expect(stateText(entry("a", step("accepted", { progress: 40 })))).toBe("Accepted, 40 %");
  expect([levelOf(entry("a", step("done"))), levelOf(entry("a", step("failed"))), levelOf(entry("a"))])
    .toEqual(["good", "bad", "waiting"]);
  expect(progressOf(entry("a", step("queued"), step("sent"), step("rejected")))).toBe(1);
});

it("the log keeps one entry a command, newest first, and no more than it may", () => {
  const log = new CommandLog(2);
  log.take(entry("a", step("queued")));
  log.take({ ...entry("b"), issued: 200 });
  log.take({ ...entry("a", step("done")), label: "" });
  expect(log.entries.map(({ id, label }) => `${id} ${label}`)).toEqual(["b Lamp on", "a Lamp on"]);
  expect(isFinal(log.entries[1]!)).toBe(true);
  expect(log.pending("alpha", "Lamp on")?.id).toBe("b");
  log.take({ ...entry("c"), issued: 300 });
  expect(log.entries.map(({ id }) => id)).toEqual(["c", "b"]);
});
