/** Acting on a vehicle from the page, with real devices at a real edge's side. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Browser, Page } from "playwright-core";
import { PHONE, WIDE, faintTexts, launch, open, picture } from "./browser";
import { Lamp, Rover } from "./device";
import { System, until } from "./system";

describe("the command panel", () => {
  let system: System;
  let browser: Browser;
  let lamp: Lamp;
  let rover: Rover;
  const complaints: string[] = [];
  const pages: Page[] = [];

  beforeAll(async () => {
    [lamp, rover] = [await new Lamp().listen(), await new Rover().listen()];
    browser = await launch();
    system = await System.start((folder) => {
      const config = join(folder, "edge.toml");
      writeFileSync(config, `
vehicle = "alpha"
sources = ["${lamp.source}", "${rover.source}"]
[commands.devices.lamp]
source = "${lamp.source}"
allow = ["switch"]
[commands.controls.drive]
source = "${rover.source}"
axes = ["steering", "throttle"]
`);
      return ["--config", config];
    });
  });
  afterAll(async () => {
    await browser?.close();
    await system?.stop();
    lamp?.close();
    rover?.close();
  });
  afterEach(async () => {
    // A test that failed may have left it cut.
    system.satellite.mend();
    for (const page of pages.splice(0)) await page.context().close();
    expect(complaints.splice(0)).toEqual([]);
  });

  const show = async (options = WIDE) => {
    const page = await open(browser, system.url, options, complaints);
    pages.push(page);
    await page.waitForSelector('[data-device="lamp"] .switch:not(:disabled)', { state: "attached" });
    return page;
  };
  const state = (page: Page, name: string) => page.waitForSelector(`.command-log li[data-state="${name}"]`);

  it("switches a lamp, and shows what the lamp itself says", async () => {
    const page = await show();
    const toggle = page.locator('[data-device="lamp"] .switch');
    await page.waitForSelector('[data-device="lamp"] .switch[aria-checked="false"]');
    await toggle.click();
    await state(page, "done");
    await page.waitForSelector('[data-device="lamp"] .switch[aria-checked="true"]');
    expect([lamp.isOn, lamp.switched]).toEqual([true, 1]);
    expect(await faintTexts(page)).toEqual([]);
    await picture(page, "lamp");
  });

  it("says that a command has expired which could not be delivered in time, and never delivers it", async () => {
    const page = await show();
    const switched = lamp.switched;
    system.satellite.cut();
    // One that left before the ground knew could be at the vehicle: it would not be called expired.
    await page.waitForSelector('[data-vehicle="alpha"][data-link="down"]');
    await page.locator('[data-device="lamp"] .switch').click();
    await until("a countdown", async () => /\d+ s left/.test(await page.locator(".command-log li").first().innerText()));
    await picture(page, "waiting");
    await state(page, "expired");
    await until("the switch to say so, too", async () =>
      (await page.locator('[data-device="lamp"] .pending').innerText()).includes("Expired"));
    await picture(page, "expired");
    system.satellite.mend();
    await page.waitForSelector('[data-vehicle="alpha"][data-link="up"]');
    await page.locator('[data-device="lamp"] .switch').click();
    await until("the next command to be done", async () =>
      (await page.locator(".command-log li").first().getAttribute("data-state")) === "done");
    expect(lamp.switched).toBe(switched + 1);
  });

  it("shows what a vehicle without an autopilot says of itself", async () => {
    const page = await show();
    await page.waitForSelector('[data-reading="rover:throttle"][data-age="fresh"]');
    expect(await page.locator(".own .reading").count()).toBe(2);
    expect(await page.locator(".flight-state").innerText()).toBe("No autopilot");
    expect(await faintTexts(page)).toEqual([]);
    await picture(page, "own-values");
  });

  it("steers a rover by keys, which stops when they are let go", async () => {
    const page = await show();
    await page.focus(".pad");
    await page.keyboard.down("ArrowUp");
    await page.keyboard.down("ArrowRight");
    await until("the rover to drive", () => rover.throttle === 0.7 && rover.steering === 0.7);
    await page.waitForSelector('.steer-state[data-state="active"]');
    await picture(page, "steering");
    await page.keyboard.up("ArrowRight");
    await page.keyboard.up("ArrowUp");
    await until("the rover to stand", () => rover.throttle === 0 && rover.steering === 0);
  });

  it("steers by touch; a rover whose link is cut stops by itself", async () => {
    const page = await show(PHONE);
    await page.tap('[data-tab="command"]');
    const pad = page.locator(".pad");
    await pad.scrollIntoViewIfNeeded();
    const box = (await pad.boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 4, { steps: 4 });
    await until("the rover to drive", () => rover.throttle > 0.3);
    await picture(page, "phone-steering");
    system.satellite.cut();
    await until("the rover to stop by itself", () => rover.throttle === 0);
    system.satellite.mend();
    await page.mouse.up();
  });
});
