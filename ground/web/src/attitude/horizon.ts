/** The attitude indicator: an artificial horizon with a compass band. Angles in degrees. */

import { setAttribute, svg } from "../ui/dom";

/** Units of the drawing a degree of pitch. */
const PER_DEGREE = 2.2;
const RADIUS = 88;
const RIM = 97;

export class Horizon {
  readonly element: SVGSVGElement;
  private readonly world: SVGGElement;
  private readonly bank: SVGGElement;

  constructor() {
    this.world = svg("g", {},
      svg("rect", { class: "sky", x: -300, y: -600, width: 600, height: 600 }),
      svg("rect", { class: "earth", x: -300, y: 0, width: 600, height: 600 }),
      svg("line", { class: "horizon", x1: -300, x2: 300, y1: 0, y2: 0 }),
      ...ladder());
    this.bank = svg("g", {}, svg("path", { class: "bank-mark", d: `M0 ${-RADIUS + 3} l-6 10 h12 z` }));
    this.element = svg("svg", { viewBox: "-100 -100 200 200", class: "horizon-dial", role: "img" },
      svg("clipPath", { id: "dial" }, svg("circle", { r: RADIUS })),
      svg("g", { "clip-path": "url(#dial)" }, this.world),
      svg("circle", { class: "rim", r: RADIUS }),
      ...ticks(),
      this.bank,
      svg("path", { class: "wings", d: "M-56 0 h30 l7 9 M56 0 h-30 l-7 9" }),
      svg("circle", { class: "wings-dot", r: 2.6 }));
  }

  /** Shows an attitude; `null` where it is not known. */
  draw(roll: number | null, pitch: number | null): void {
    const [r, p] = [roll ?? 0, Math.max(-90, Math.min(90, pitch ?? 0))];
    setAttribute(this.world, "transform", `rotate(${(-r).toFixed(1)}) translate(0 ${(p * PER_DEGREE).toFixed(1)})`);
    setAttribute(this.bank, "transform", `rotate(${(-r).toFixed(1)})`);
    setAttribute(this.element, "aria-label", roll === null ? "Attitude unknown"
      : `Attitude: roll ${r.toFixed(0)} degrees, pitch ${p.toFixed(0)} degrees`);
  }
}

function ladder(): SVGElement[] {
  const lines: SVGElement[] = [];
  for (let degrees = -60; degrees <= 60; degrees += 5) {
    if (degrees === 0) continue;
    const half = degrees % 10 === 0 ? 18 : 9;
    const y = -degrees * PER_DEGREE;
    lines.push(svg("line", { class: "rung", x1: -half, x2: half, y1: y, y2: y }));
    if (degrees % 20 === 0) {
      for (const side of [-1, 1]) {
        lines.push(svg("text", { class: "rung-text", x: side * (half + 12), y: y + 3.5 }, String(Math.abs(degrees))));
      }
    }
  }
  return lines;
}

function ticks(): SVGElement[] {
  return [-60, -45, -30, -20, -10, 0, 10, 20, 30, 45, 60].map((degrees) =>
    svg("line", {
      class: "tick", y1: -RADIUS - 2, y2: degrees % 30 === 0 ? -RIM - 1 : -RIM + 3, transform: `rotate(${degrees})`,
    }));
}
