/** What the vehicle said in words, newest first. */

import { ageText } from "../model/age";
import type { Store } from "../model/store";
import type { StatusText, Vehicle } from "../model/vehicle";
import { el, setText } from "./dom";

const MAX_SHOWN = 60;
/** MAV_SEVERITY up to error, and warning. */
const [ERROR, WARNING] = [3, 4];

export class TextsPanel {
  readonly element: HTMLElement;
  private readonly list = el("ol.texts", { tabindex: 0, "aria-label": "Messages, newest first" });
  private shown: { vehicle: Vehicle; version: number; ages: [HTMLElement, StatusText][] } | null = null;

  constructor(private readonly store: Store) {
    this.element = el("section.panel.messages", { "aria-label": "Messages" }, el("h2", {}, "Messages"), this.list);
  }

  draw(now: number): void {
    const vehicle = this.store.selected;
    if (!vehicle) return;
    if (this.shown?.vehicle !== vehicle || this.shown.version !== vehicle.textsVersion) this.rebuild(vehicle);
    for (const [age, text] of this.shown!.ages) setText(age, ageText(now - text.captured));
  }

  private rebuild(vehicle: Vehicle): void {
    const ages: [HTMLElement, StatusText][] = [];
    const items = vehicle.texts.slice(-MAX_SHOWN).reverse().map((text) => {
      const age = el("span.age");
      ages.push([age, text]);
      const severity = text.severity <= ERROR ? "error" : text.severity === WARNING ? "warning" : "info";
      return el("li", { "data-severity": severity, "data-lane": text.lane },
        el("span.text", {}, severity === "info" ? "" : el("span.severity", {}, severity === "error" ? "Error" : "Warning"), text.text),
        age);
    });
    if (items.length === 0) items.push(el("li.quiet", {}, "Nothing said yet."));
    this.list.replaceChildren(...items);
    this.shown = { vehicle, version: vehicle.textsVersion, ages };
  }
}
