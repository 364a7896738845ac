/** Choosing what to plot: every numeric field of the vehicle, to be found by any part of its name. */

import type { Store } from "../model/store";
import { el } from "../ui/dom";
import type { ChartField } from "./chart";

export class FieldPicker {
  readonly element = el("dialog.picker", { "aria-label": "Choose what to plot" });
  private readonly search = el("input", {
    type: "text", role: "searchbox", placeholder: "Find a value: alt, volt, humidity…", "aria-label": "Find a value", autocomplete: "off",
  });
  private readonly list = el("ul.fields");

  constructor(
    private readonly store: Store, private readonly isShown: (field: ChartField) => boolean,
    private readonly onToggle: (field: ChartField) => void,
  ) {
    const close = el("form", { method: "dialog" }, el("button.primary", {}, "Done"));
    this.element.append(el("h2", {}, "Plots"), this.search, this.list, close);
    this.search.addEventListener("input", () => this.fill());
  }

  /** Opens it. */
  open(): void {
    this.search.value = "";
    this.fill();
    this.element.showModal();
    this.search.focus();
  }

  private fill(): void {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const streams = [...(this.store.selected?.streams.values() ?? [])].sort((a, b) => a.name.localeCompare(b.name));
    const items = streams.flatMap((stream) => stream.series.fields.flatMap((field) => {
      const name = `${stream.name} ${field} ${stream.unit(field)}`.toLowerCase();
      if (!words.every((word) => name.includes(word))) return [];
      const { text, unit } = stream.text(field);
      const chart = { stream: stream.name, field };
      const box = el("input", { type: "checkbox", checked: this.isShown(chart) });
      box.addEventListener("change", () => this.onToggle(chart));
      return [el("li", {}, el("label", {}, box, el("span.field", {}, field, el("small", {}, stream.name)),
        el("span.field-value", {}, `${text} ${unit}`)))];
    }));
    if (items.length === 0) items.push(el("li.quiet", {}, "No numeric value of that name."));
    this.list.replaceChildren(...items);
  }
}
