/** One chart: a field over time, live and back, with its newest value and the age of it. */

import uPlot from "uplot";
import type { TernClient } from "../../client/src";
import { ageText } from "../model/age";
import type { Store } from "../model/store";
import { numberText, shownUnit } from "../model/units";
import type { Stream } from "../model/stream";
import { paintAge } from "../ui/aged";
import { el, iconButton, setAttribute, setText } from "../ui/dom";
import type { Theme } from "../ui/theme";
import { columnsOf, type Columns } from "./columns";
import { ChartHistory } from "./history";
import { bounds, type Range } from "./range";

/** Which field a chart shows. */
export interface ChartField {
  stream: string;
  field: string;
}

/** What a chart tells. */
export interface ChartEvents {
  /** Somebody dragged over a stretch of time. */
  onZoom: (from: number, to: number) => void;
  onReset: () => void;
  onRemove: () => void;
}

const HEIGHT = 112;
/** Half a time label, which may stand at the very end, pixels. */
const LABEL_ROOM = 27;

export class Chart {
  readonly element: HTMLElement;
  private readonly canvas = el("div.chart-canvas");
  private readonly value = el("span.value");
  private readonly unit = el("span.unit");
  private readonly age = el("span.age");
  private readonly note = el("p.chart-note", { hidden: true });
  private readonly history: ChartHistory;
  private plot: uPlot | null = null;
  private drawn = { version: -1, from: 0, to: 0, width: 0, vehicle: "" };
  private historyVersion = 0;

  constructor(
    readonly field: ChartField, private readonly store: Store, private readonly theme: Theme, client: TernClient,
    private readonly events: ChartEvents,
  ) {
    this.history = new ChartHistory(client, () => { this.historyVersion += 1; });
    const name = field.stream.slice(field.stream.lastIndexOf("/") + 1);
    const title = `${name} ${field.field}`;
    this.element = el("article.chart", { "aria-label": `Plot of ${title}`, "data-field": `${field.stream}:${field.field}` },
      el("header", {},
        el("h3", { title: `${field.stream} · ${field.field}` }, fieldTitle(field.field), el("small", {}, name)),
        el("div.newest", {}, el("span.figure", {}, this.value, this.unit), this.age),
        iconButton(`Remove the plot of ${title}`, "M6 6l12 12M18 6L6 18", events.onRemove)),
      this.canvas, this.note);
    theme.onChange(() => this.rebuild());
  }

  /** Draws the range as of `now`; cheap when nothing has changed. */
  draw(range: Range, now: number): void {
    const vehicle = this.store.selected;
    const stream = vehicle?.streams.get(this.field.stream);
    this.drawValue(stream, now);
    const width = this.canvas.clientWidth;
    if (!vehicle || width === 0) return;
    const [from, to] = bounds(range, now);
    const joint = Math.max(stream?.series.first ?? Infinity, this.store.completeSince ?? Infinity);
    if (from < joint) {
      const clockOffsetS = (this.store.status(vehicle)?.clock_offset_ms ?? 0) / 1e3;
      this.history.want({ vehicle: vehicle.name, ...this.field, from, to: Math.min(to, now), clockOffsetS }, now);
    }
    const version = (stream?.version ?? 0) + this.historyVersion * 1e9;
    const { drawn } = this;
    if (drawn.vehicle !== vehicle.name) this.history.forget();
    if (drawn.version === version && drawn.width === width && drawn.from === from && drawn.to === to) return;
    this.drawn = { version, from, to, width, vehicle: vehicle.name };
    this.show(this.columns(stream, from, to, joint), from, to, width);
  }

  /** Lets go of what the browser holds for it. */
  remove(): void {
    this.plot?.destroy();
    this.plot = null;
    this.element.remove();
  }

  private columns(stream: Stream | undefined, from: number, to: number, joint: number): Columns {
    const empty = { times: new Float64Array(), values: new Float64Array(), backlog: new Uint8Array() };
    const recent = stream?.series.stretch(this.field.field, from, to) ?? empty;
    const factor = shownUnit(stream?.unit(this.field.field) ?? "").factor;
    return columnsOf(from < joint ? this.history.buckets : null, joint, recent, factor);
  }

  private drawValue(stream: Stream | undefined, now: number): void {
    const { newest } = stream ?? { newest: null };
    if (!stream || !newest) {
      setText(this.value, "–");
      setText(this.age, "");
      return;
    }
    const { text, unit } = stream.text(this.field.field);
    setText(this.value, text);
    setText(this.unit, unit);
    setText(this.age, ageText(now - newest.captured));
    paintAge(this.element, now - newest.captured, this.store.isOnline);
  }

  private show(columns: Columns, from: number, to: number, width: number): void {
    const data = [columns.times, columns.max, columns.min, columns.live, columns.backlog] as uPlot.AlignedData;
    this.plot ??= new uPlot(this.options(width), data, this.canvas);
    if (this.plot.width !== width) this.plot.setSize({ width, height: HEIGHT });
    this.plot.batch(() => {
      this.plot!.setData(data, false);
      this.plot!.setScale("x", { min: from, max: to });
    });
    const isEmpty = columns.times.length === 0;
    // For whoever cannot see it: since when there is something.
    setAttribute(this.element, "data-since", isEmpty ? null : columns.times[0]!.toFixed(1));
    this.note.hidden = !isEmpty;
    if (isEmpty) setText(this.note, this.history.problem ?? "Nothing in this stretch of time.");
  }

  private rebuild(): void {
    this.plot?.destroy();
    this.plot = null;
    this.drawn.version = -1;
  }

  private options(width: number): uPlot.Options {
    const { theme } = this;
    const axis = {
      stroke: theme.get("quiet"), font: "11px system-ui, sans-serif",
      grid: { stroke: theme.get("line"), width: 1 }, ticks: { show: false },
    };
    const band = { stroke: "transparent", points: { show: false } };
    const line = { width: 1.75, points: { show: false }, spanGaps: false };
    return {
      width, height: HEIGHT, padding: [8, LABEL_ROOM, 0, 0], legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false }, sync: { key: "tern" }, y: false },
      scales: { x: { time: true }, y: { range: padded } },
      axes: [
        { ...axis, size: 24, space: 72, values: timeTexts },
        { ...axis, size: 48, space: 28, values: (_, ticks) => ticks.map(tickText) },
      ],
      series: [
        {}, band, band,
        { ...line, stroke: theme.get("live") },
        { ...line, stroke: theme.get("backlog"), width: 2.25 },
      ],
      bands: [{ series: [1, 2], fill: theme.isDark ? "rgba(127, 170, 210, .22)" : "rgba(30, 100, 170, .16)" }],
      hooks: {
        setSelect: [(plot) => {
          if (plot.select.width < 4) return;
          const [left, right] = [plot.select.left, plot.select.left + plot.select.width];
          this.events.onZoom(plot.posToVal(left, "x"), plot.posToVal(right, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
        ready: [(plot) => plot.over.addEventListener("dblclick", this.events.onReset)],
      },
    };
  }
}

/** Some room above and below, so that noise of a still sensor does not fill the chart. */
function padded(_: uPlot, min: number | null, max: number | null): [number, number] {
  if (min === null || max === null) return [0, 1];
  const room = Math.max((max - min) * 0.12, Math.abs(max) * 0.005, 0.02);
  return [min - room, max + room];
}

/** Times of day; with seconds where the ticks are that close. */
export function timeTexts(_: uPlot, seconds: number[], __: number, ___: number, step: number): string[] {
  const format: Intl.DateTimeFormatOptions = step < 60
    ? { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }
    : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return seconds.map((time) => new Date(time * 1e3).toLocaleTimeString(undefined, format));
}

function tickText(value: number): string {
  return numberText(+value.toPrecision(6), null);
}

/** A field's name for people: `relative_alt` becomes `relative alt`. */
export function fieldTitle(field: string): string {
  return field.replaceAll("_", " ");
}
