/** Latency over time, small: median as a line, the 99th percentile as the top of a band, outages as holes. */

import uPlot from "uplot";
import type { LatencyPoint } from "../model/quantile";
import { el } from "../ui/dom";
import type { Theme } from "../ui/theme";

const HEIGHT = 96;
/** How far back it shows, seconds. */
const LENGTH_S = 900;

export class LatencyChart {
  readonly element = el("figure.latency", {}, el("figcaption", {}, "One-way latency, 15 min: median and p99, ms"));
  private plot: uPlot | null = null;
  private drawnAt = 0;

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
      width, height: HEIGHT, padding: [6, 4, 0, 0], legend: { show: false }, cursor: { show: false },
      scales: { x: { time: true }, y: { range: (_, __, max) => [0, Math.max(500, (max ?? 0) * 1.1)] } },
      axes: [{ ...axis, size: 22, space: 70 }, { ...axis, size: 40, space: 26 }],
      series: [
        {},
        { stroke: theme.get("faded"), width: 1, points: { show: false } },
        { stroke: theme.get("live"), width: 1.75, points: { show: false } },
      ],
      bands: [{ series: [1, 2], fill: theme.isDark ? "rgba(127, 170, 210, .2)" : "rgba(30, 100, 170, .14)" }],
    };
  }
}
