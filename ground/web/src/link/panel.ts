/** The link: how late, what is missing and when it will be there, what it costs. */

import { agoText, spanText } from "../model/age";
import type { Reading } from "../model/readings";
import type { Store } from "../model/store";
import { numberText } from "../model/units";
import type { Vehicle } from "../model/vehicle";
import { el, setAttribute, setText } from "../ui/dom";
import type { Theme } from "../ui/theme";
import { linkState, type LinkState } from "../ui/vehicles";
import { LatencyChart } from "./latency";
import { edgeStatus } from "./edge";
import { isFarOff, offsetText } from "./offset";

/** One line of the panel. */
class Line {
  readonly element: HTMLElement;
  private readonly value = el("span.value");
  private readonly note = el("span.note");

  constructor(label: string, key: string) {
    this.element = el("div", { "data-link-line": key }, el("dt", {}, label), el("dd", {}, this.value, this.note));
  }

  show(text: string, note = "", level: "good" | "warn" | "bad" | "" = ""): void {
    setText(this.value, text);
    setText(this.note, note);
    setAttribute(this.element, "data-level", level || null);
  }
}

export class LinkPanel {
  readonly element: HTMLElement;
  private readonly state = new Line("Vehicle", "state");
  private readonly latency = new Line("One way", "latency");
  private readonly backlog = new Line("Still to come", "backlog");
  private readonly lost = new Line("Lost", "lost");
  private readonly bytes = new Line("Traffic", "bytes");
  private readonly clock = new Line("Clock", "clock");
  private readonly chart: LatencyChart;

  constructor(private readonly store: Store, theme: Theme) {
    this.chart = new LatencyChart(theme);
    const lines = [this.state, this.latency, this.backlog, this.lost, this.bytes, this.clock];
    this.element = el("section.panel.link", { "aria-label": "Link" }, el("h2", {}, "Link"),
      el("dl.lines", {}, ...lines.map((line) => line.element)), this.chart.element);
  }

  draw(now: number): void {
    const vehicle = this.store.selected;
    if (!vehicle) return;
    const link = linkState(this.store, vehicle, now);
    const level = { up: "good", silent: "warn", down: "bad", unknown: "warn" } as const;
    const heard = vehicle.lastReceived === null ? "" : `heard ${agoText(now - vehicle.lastReceived)}`;
    this.state.show(link.text, heard, level[link.state]);
    this.drawLatency(vehicle, now);
    this.drawBacklog(vehicle, link.state, now);
    this.drawCosts(vehicle);
    if (this.element.offsetParent) this.chart.draw(vehicle.latency.points(now), now);
  }

  private drawLatency(vehicle: Vehicle, now: number): void {
    const { p50, p99 } = vehicle.latency.recent(now);
    const uncertainty = this.store.status(vehicle)?.clock_uncertainty_ms;
    if (p50 === null || p99 === null) {
      this.latency.show("–", "nothing live for 30 s", "warn");
      return;
    }
    const doubt = uncertainty == null ? "" : `, ± ${uncertainty.toFixed(0)}`;
    this.latency.show(`${p50.toFixed(0)} ms`, `p99 ${p99.toFixed(0)} ms${doubt}`, p99 <= 1000 ? "good" : "warn");
  }

  private drawBacklog(vehicle: Vehicle, link: LinkState, now: number): void {
    const edge = edgeStatus(vehicle);
    const count = Math.max(vehicle.missing.count, edge.backlogRecords?.value ?? 0);
    if (link === "unknown") {
      this.backlog.show("unknown", "", "warn");
    } else if (link !== "up") {
      const silence = vehicle.lastReceived === null ? 0 : now - vehicle.lastReceived;
      const estimate = rounded(count + silence * vehicle.usualRate);
      this.backlog.show(estimate === "0" ? "growing" : `about ${estimate}`, estimate === "0" ? "" : "records, growing", "warn");
    } else if (count === 0) {
      this.backlog.show("nothing", `${vehicle.arrived.backlog.toLocaleString("en")} came later`, "good");
    } else {
      const rate = vehicle.missing.fillRate(now);
      const eta = rate > 0 ? `, done in ${spanText(count / rate)}` : "";
      this.backlog.show(count.toLocaleString("en"), `records${eta}`, "warn");
    }
  }

  private drawCosts(vehicle: Vehicle): void {
    const status = this.store.status(vehicle);
    const lost = status?.lost_records ?? 0;
    this.lost.show(lost === 0 ? "nothing" : lost.toLocaleString("en"), lost === 0 ? "" : "records", lost === 0 ? "good" : "bad");
    const { wireBytes, rateBits, budgetBytes } = edgeStatus(vehicle);
    setAttribute(this.bytes.element, "hidden", wireBytes ? null : "");
    if (wireBytes) this.bytes.show(bytesText(wireBytes.value), costNote(rateBits, budgetBytes));
    const offset = status?.clock_offset_ms;
    setAttribute(this.clock.element, "hidden", offset == null ? "" : null);
    if (offset != null) {
      const doubt = `± ${offsetText(status?.clock_uncertainty_ms ?? 0)}, corrected`;
      this.clock.show(offsetText(offset), doubt, isFarOff(offset) ? "warn" : "");
    }
  }
}

function costNote(rateBits: Reading | null, budgetBytes: Reading | null): string {
  if (budgetBytes) return `both ways, ${bytesText(budgetBytes.value)} left`;
  return rateBits ? `both ways, sends at most ${numberText(rateBits.value / 1e3, 0)} kbit/s` : "both ways";
}

/** Bytes for people. */
export function bytesText(bytes: number): string {
  if (bytes < 1e3) return `${bytes.toFixed(0)} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;
}

/** Two digits are all that an estimate is worth. */
function rounded(count: number): string {
  return Number(Math.round(count).toPrecision(2)).toLocaleString("en");
}
