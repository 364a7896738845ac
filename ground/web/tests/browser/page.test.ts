/** The page as an operator sees it, against a real ground and a real edge. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Browser, Page } from "playwright-core";
import { PHONE, WIDE, faintTexts, launch, open, picture } from "./browser";
import { System, until } from "./system";

describe("the page", () => {
  let system: System;
  let browser: Browser;
  const complaints: string[] = [];
  const pages: Page[] = [];

  beforeAll(async () => {
    system = await System.start(() => ["--source", "simulated:"]);
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await system?.stop();
  });
  afterEach(async () => {
    for (const page of pages.splice(0)) await page.context().close();
    expect(complaints.splice(0)).toEqual([]);
  });

  const show = async (options = WIDE) => {
    const page = await open(browser, system.url, options, complaints);
    pages.push(page);
    await page.waitForSelector('[data-reading="altitude"][data-age="fresh"]');
    return page;
  };
  const text = (page: Page, selector: string) => page.locator(selector).first().innerText();
  /** Waits until an element reads like this: what is drawn follows what happened within a while. */
  const reads = (page: Page, selector: string, pattern: RegExp) =>
    until(`${selector} to read ${pattern}`, async () => pattern.test(await text(page, selector)));

  it("shows values as they move, each with its age", async () => {
    const page = await show();
    await page.waitForSelector('[data-vehicle="alpha"][data-link="up"]');
    await reads(page, ".connection", /^Ground connected$/);
    const voltage = await text(page, '[data-reading="voltage"] .figure');
    await until("the voltage to change", async () => (await text(page, '[data-reading="voltage"] .figure')) !== voltage);
    await until("an age at every value", async () => {
      const ages = await page.locator(".reading:visible .age").allInnerTexts();
      return ages.length > 0 && ages.every((age) => /^\d+(\.\d)? s$/.test(age));
    });
    await until("plots of the usual values", async () => (await page.locator(".chart canvas").count()) >= 6);
    await reads(page, '[data-link-line="latency"] .value', /^\d+ ms$/);
    await reads(page, ".position", /s ago\s+position\s+47\.\d+, 8\.\d+/);
  });

  it("greys everything in an outage, shows the gap, and fills it afterwards", async () => {
    const page = await show();
    await until("an unbroken track", async () => (await page.getAttribute(".map", "data-gaps")) === "0");
    system.satellite.cut();
    await page.waitForSelector('[data-reading="altitude"][data-age="aging"]');
    await page.waitForSelector('[data-vehicle="alpha"]:is([data-link="silent"], [data-link="down"])');
    await reads(page, '[data-link-line="backlog"]', /growing/);
    await reads(page, ".connection", /^Ground connected$/);
    await page.waitForSelector('[data-reading="altitude"][data-age="old"]');
    await reads(page, ".position", /s ago\s+last position, may have moved/);
    expect(await faintTexts(page)).toEqual([]);
    await picture(page, "outage");
    const later = Number(await page.getAttribute(".map", "data-later"));
    system.satellite.mend();
    await page.waitForSelector('[data-reading="altitude"][data-age="fresh"]');
    await until("the gap to be filled", async () =>
      Number(await page.getAttribute(".map", "data-later")) > later && (await page.getAttribute(".map", "data-gaps")) === "0");
    await until("nothing to be missing", async () => (await text(page, '[data-link-line="backlog"] .value')) === "nothing");
    await picture(page, "filled");
  });

  it("says at once that the ground is gone, and goes on by itself", async () => {
    const page = await show();
    system.web.cut();
    await page.waitForSelector(".banner:not([hidden])");
    await reads(page, ".banner", /No connection to the ground for/);
    await reads(page, ".connection", /^Reconnecting$/);
    await page.waitForSelector('[data-reading="altitude"][data-age="old"]');
    await picture(page, "no-ground");
    // Long enough for a gap that would be seen.
    await until("some seconds to pass", async () => /[4-9]\.\d s|\d\d s/.test(await text(page, ".banner")));
    system.web.mend();
    await page.waitForSelector(".banner", { state: "hidden" });
    await page.waitForSelector('[data-reading="altitude"][data-age="fresh"]');
    await until("what was missed to be filled in", async () => (await page.getAttribute(".map", "data-gaps")) === "0"
      && (await text(page, '[data-link-line="backlog"] .value')) === "nothing");
  });

  it("is readable in every theme and size", async () => {
    for (const [name, options] of [["wide", WIDE], ["phone", PHONE]] as const) {
      for (const colorScheme of ["light", "dark"] as const) {
        const page = await show({ ...options, colorScheme });
        await until("plots or a phone", async () => name === "phone" || (await page.locator(".chart canvas").count()) >= 6);
        expect(await faintTexts(page)).toEqual([]);
        await picture(page, `${name}-${colorScheme}`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(overflow).toBeLessThanOrEqual(0);
      }
    }
  });

  it("shows one part at a time on a phone", async () => {
    const page = await show(PHONE);
    for (const [tab, part] of [["plots", ".plots"], ["link", ".link"], ["now", ".map"]] as const) {
      await page.tap(`[data-tab="${tab}"]`);
      await page.waitForSelector(part);
      await picture(page, `phone-${tab}`);
    }
    await page.waitForSelector(".plots", { state: "hidden" });
  });

  it("is usable by keys alone", async () => {
    const page = await show();
    await page.keyboard.press("v");
    await page.waitForSelector("dialog.values[open]");
    await page.keyboard.type("humid");
    await until("one stream", async () => (await page.locator(".stream:visible").count()) === 1);
    await picture(page, "values");
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog.values", { state: "hidden" });
    await page.keyboard.press("t");
    await page.waitForSelector('html[data-theme="dark"]');
    await page.keyboard.press("t");
    await page.focus(".map-surface");
    await page.keyboard.press("ArrowLeft");
    await page.waitForSelector('.map-tools button:nth-child(3)[aria-pressed="false"]');
    await page.keyboard.press("f");
    await page.waitForSelector('.map-tools button:nth-child(3)[aria-pressed="true"]');
  });

  it("plots what the operator chooses, and remembers it", async () => {
    const page = await show();
    await until("the usual plots", async () => (await page.locator(".chart").count()) >= 6);
    await page.click(".plots .choose");
    await page.fill(".picker [role=searchbox]", "scaled press");
    await page.check(".fields li:first-child input");
    await page.click(".picker .primary");
    await page.waitForSelector('.chart[data-field*="SCALED_PRESSURE"]');
    await page.reload();
    await page.waitForSelector('.chart[data-field*="SCALED_PRESSURE"]');
  });

  it("asks twice before it commands an autopilot, and sets no mode that nobody chose", async () => {
    const page = await show();
    const set = page.locator(".mode-choice button");
    await page.waitForSelector(".autopilot:not([hidden])");
    const sent = (name: string) => page.locator(`.command-log li:has-text("${name}")`).count();
    expect(await page.locator("#mode option:checked").innerText()).toBe("Choose mode…");
    expect(await set.isDisabled()).toBe(true);
    await page.selectOption("#mode", { label: "Loiter" });
    await set.click();
    expect(await set.innerText()).toBe("Set: sure?");
    // Another choice is another question.
    await page.selectOption("#mode", { label: "Guided" });
    expect(await set.innerText()).toBe("Set");
    await set.click();
    await picture(page, "mode-sure");
    await set.click();
    await until("the mode to be asked for", async () => (await sent("mode")) === 1);
    expect([await page.inputValue("#mode"), await set.isDisabled()]).toEqual(["", true]);
    const home = page.locator('.commands button:has-text("Return to launch")');
    await home.click();
    expect([await home.innerText(), await sent("Return to launch")]).toEqual(["Return to launch: sure?", 0]);
    await home.click();
    await until("the return to be asked for", async () => (await sent("Return to launch")) === 1);
  });

  it("looks back to before it was opened, in plots and on the map", async () => {
    const opened = Date.now() / 1000;
    const page = await show();
    await page.click('.segments [data-seconds="300"]');
    await until("history in a plot", async () => Number(await page.getAttribute(".chart", "data-since")) < opened - 5);
    await until("history on the map", async () => Number(await page.getAttribute(".map", "data-since")) < opened - 5);
    await page.click('[aria-label="Back in time"]');
    await reads(page, ".when", /^\d\d:\d\d:\d\d – \d\d:\d\d:\d\d$/);
    await page.keyboard.press("l");
    await reads(page, ".when", /^$/);
  });

  it("is small: the first view is under 400 kB on the wire", async () => {
    const context = await browser.newContext(WIDE);
    const page = await context.newPage();
    pages.push(page);
    const session = await context.newCDPSession(page);
    let bytes = 0;
    await session.send("Network.enable");
    session.on("Network.loadingFinished", ({ encodedDataLength }) => { bytes += encodedDataLength; });
    await page.goto(system.url, { waitUntil: "networkidle" });
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(400_000);
  });
});
