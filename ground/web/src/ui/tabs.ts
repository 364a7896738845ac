/** On a phone one part of the page at a time is shown; which one, a bar at the bottom says. */

import { el, icon, setAttribute } from "./dom";

const TABS = [
  ["now", "Now", "M12 3l7 18-7-4-7 4z"],
  ["plots", "Plots", "M3 17l5-6 4 4 8-9"],
  ["link", "Link", "M5 19a12 12 0 0 1 0-14M19 5a12 12 0 0 1 0 14M8.5 15.500a5 5 0 0 1 0-7M15.500 8.500a5 5 0 0 1 0 7M12 12h.01"],
  ["command", "Command", "M4 8h10M18 8h2M4 16h2M10 16h10M14 5v6M6 13v6"],
] as const;

export class Tabs {
  readonly element = el("nav.tabs", { "aria-label": "Parts of the page" });

  constructor() {
    for (const [tab, label, path] of TABS) {
      const choose = el("button", { type: "button", "data-tab": tab }, icon(path), label);
      choose.addEventListener("click", () => this.show(tab));
      this.element.append(choose);
    }
    this.show("now");
  }

  private show(tab: string): void {
    document.body.dataset["tab"] = tab;
    for (const choice of this.element.children) {
      setAttribute(choice, "aria-current", choice.getAttribute("data-tab") === tab ? "true" : null);
    }
    window.scrollTo(0, 0);
  }
}
