/** Latency over time, small: median as a line, the 99th percentile as the top of a band, outages as holes. */

import uPlot from "uplot";
import type { LatencyPoint } from "../model/quantile";
import { timeTexts } from "../plots/chart";
import { el } from "../ui/dom";
import type { Theme } from "../ui/theme";

const HEIGHT = 96;
/** Half a time label, which may stand at the very end, pixels. */
const LABEL_ROOM = 18;
/** How far back it shows, seconds. */
const LENGTH_S = 900;
/** The top of the chart at most. */
const LATEST_MS = 2500;

export class LatencyChart {
  readonly element = el("figure.latency", {}, el("figcaption", {}, "One-way latency, 15 min: median and p99, ms"));
  private plot: uPlot | null = null;
  private drawnAt = 0;
  private top = 1000;

  constructor(private readonly theme: Theme) {
    theme.onChange(() => {
      this.plot?.destroy();
      this.plot = null;
    });
  }

  draw(points: readonly LatencyPoint[], now: number): void {
    const width = this.element.clientWidth;
    if (width === 0 || (this.plot && now - this.drawnAt < 1 && this.plot.width === width)) return;
    this.drawnAt = now;
    const shown = points.filter(({ time }) => time >= now - LENGTH_S);
    // What is later than so much would flatten all the rest; it runs out at the top.
    this.top = Math.min(LATEST_MS, Math.max(1000, ...shown.map(({ p99 }) => (p99 ?? 0) * 1.1)));
    const data = [
      shown.map(({ time }) => time), shown.map(({ p99 }) => p99), shown.map(({ p50 }) => p50),
    ] as uPlot.AlignedData;
    this.plot ??= new uPlot(this.options(width), data, this.element);
    if (this.plot.width !== width) this.plot.setSize({ width, height: HEIGHT });
    this.plot.setData(data, false);
    this.plot.setScale("x", { min: now - LENGTH_S, max: now });
  }

  private options(width: number): uPlot.Options {
    const { theme } = this;
    const axis = {
      stroke: theme.get("quiet"), font: "11px system-ui, sans-serif",
      grid: { stroke: theme.get("line"), width: 1 }, ticks: { show: false },
    };
    return {
      width, height: HEIGHT, padding: [6, LABEL_ROOM, 0, 0], legend: { show: false }, cursor: { show: false },
      scales: { x: { time: true }, y: { range: () => [0, this.top] } },
      axes: [{ ...axis, size: 22, space: 70, values: timeTexts }, { ...axis, size: 40, space: 26 }],
      series: [
        {},
        { stroke: theme.get("faded"), width: 1, points: { show: false } },
        { stroke: theme.get("live"), width: 1.75, points: { show: false } },
      ],
      bands: [{ series: [1, 2], fill: theme.isDark ? "rgba(127, 170, 210, .2)" : "rgba(30, 100, 170, .14)" }],
    };
  }
}
