/** The charts that the operator chose, over one stretch of time. */

import type { TernClient } from "../../client/src";
import type { ReadingName } from "../model/readings";
import type { Store } from "../model/store";
import type { Vehicle } from "../model/vehicle";
import { button, el, iconButton, setAttribute, setText } from "../ui/dom";
import type { Theme } from "../ui/theme";
import { Chart, type ChartField } from "./chart";
import { FieldPicker } from "./picker";
import { LENGTHS, bounds, shifted, type Range } from "./range";

const KEY = "tern-charts";
/** What is plotted until the operator chooses, of what there is. */
const DEFAULTS: readonly ReadingName[] = ["altitude", "speed", "voltage", "temperature", "humidity", "acceleration"];
/** Streams are waited for this long before the defaults are chosen, seconds. */
const SETTLE_S = 3;

export class PlotsPanel {
  readonly element: HTMLElement;
  private readonly grid = el("div.charts");
  private readonly lengths = el("div.segments", { role: "group", "aria-label": "Stretch of time" });
  private readonly when = el("span.when");
  private readonly toLive = button("Back to live", () => this.show({ kind: "live", seconds: 300 }), { class: "primary", hidden: true });
  private readonly picker: FieldPicker;
  private range: Range = { kind: "live", seconds: 60 };
  private charts: Chart[] = [];
  private vehicle: Vehicle | null = null;
  private since = 0;
  private defaultCount = 0;
  private now = 0;

  constructor(private readonly store: Store, private readonly theme: Theme, private readonly client: TernClient) {
    this.picker = new FieldPicker(store, (field) => this.find(field) !== undefined, (field) => this.toggle(field));
    for (const [seconds, label] of LENGTHS) {
      this.lengths.append(button(label, () => this.show({ kind: "live", seconds }), { "data-seconds": seconds }));
    }
    this.element = el("section.panel.plots", { "aria-label": "Plots" },
      el("header.plots-head", {}, el("h2", {}, "Plots"),
        this.lengths,
        iconButton("Back in time", "M14 6l-6 6 6 6", () => this.show(shifted(this.range, this.now, -1))),
        iconButton("Forward in time", "M10 6l6 6-6 6", () => this.show(shifted(this.range, this.now, 1))),
        this.when, this.toLive,
        button("Choose…", () => this.picker.open(), { class: "quiet-button choose" })),
      this.grid, this.picker.element);
    this.show(this.range);
  }

  /** Handles a key of the whole page; returns whether it was one of the plots'. */
  onKey(key: string): boolean {
    if (key !== "l") return false;
    this.show({ kind: "live", seconds: 60 });
    return true;
  }

  /** Adds or removes the chart of a field. */
  toggle(field: ChartField): void {
    const chart = this.find(field);
    if (chart) this.drop(chart);
    else this.add(field);
    this.store.selected && remember(this.store.selected, this.charts);
  }

  draw(now: number): void {
    this.now = now;
    if (this.store.selected !== this.vehicle) this.changeVehicle(now);
    if (this.vehicle && this.charts.length === this.defaultCount && now - this.since < SETTLE_S) this.addDefaults(now);
    if (!this.element.offsetParent) return;
    for (const chart of this.charts) chart.draw(this.range, now);
  }

  private show(range: Range): void {
    this.range = range;
    for (const choice of this.lengths.children) {
      const isChosen = range.kind === "live" && choice.getAttribute("data-seconds") === String(range.seconds);
      setAttribute(choice, "aria-pressed", String(isChosen));
    }
    this.toLive.hidden = range.kind === "live";
    const [from, to] = bounds(range, 0);
    setText(this.when, range.kind === "live" ? "" : `${clockText(from)} – ${clockText(to)}`);
  }

  private changeVehicle(now: number): void {
    for (const chart of this.charts) chart.remove();
    this.charts = [];
    this.defaultCount = 0;
    this.vehicle = this.store.selected;
    this.since = now;
    if (!this.vehicle) return;
    const remembered = recall(this.vehicle);
    for (const field of remembered ?? []) this.add(field);
    if (remembered) this.since = -Infinity;
  }

  private addDefaults(now: number): void {
    const fields = DEFAULTS.flatMap((name) => this.vehicle!.fieldOf(name, now) ?? []);
    if (fields.length <= this.charts.length) return;
    for (const chart of this.charts) chart.remove();
    this.charts = [];
    for (const { stream, field } of fields) this.add({ stream: stream.name, field });
    this.defaultCount = this.charts.length;
  }

  private find({ stream, field }: ChartField): Chart | undefined {
    return this.charts.find((chart) => chart.field.stream === stream && chart.field.field === field);
  }

  private add(field: ChartField): void {
    const chart = new Chart(field, this.store, this.theme, this.client, {
      onZoom: (from, to) => this.show({ kind: "fixed", from, to }),
      onReset: () => this.show({ kind: "live", seconds: 60 }),
      onRemove: () => this.toggle(field),
    });
    this.charts.push(chart);
    this.grid.append(chart.element);
  }

  private drop(chart: Chart): void {
    chart.remove();
    this.charts = this.charts.filter((other) => other !== chart);
  }
}

function clockText(time: number): string {
  return new Date(time * 1e3).toLocaleTimeString(undefined, { hour12: false });
}

function remember(vehicle: Vehicle, charts: readonly Chart[]): void {
  localStorage.setItem(`${KEY}:${vehicle.name}`, JSON.stringify(charts.map((chart) => chart.field)));
}

/** What was chosen for a vehicle before; `null` when nothing was. */
function recall(vehicle: Vehicle): ChartField[] | null {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(`${KEY}:${vehicle.name}`) ?? "null");
    if (!Array.isArray(stored)) return null;
    return stored.filter((field): field is ChartField =>
      typeof field?.stream === "string" && typeof field?.field === "string");
  } catch {
    return null;
  }
}
