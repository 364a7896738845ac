/** Land and sea, from Natural Earth's outlines: no tile server needed. Coarse at first, finer once somebody looks closer. */

import { geoGraticule10, geoMercator, geoPath, type GeoPermissibleObjects } from "d3-geo";
import { feature } from "topojson-client";
import type { Topology } from "topojson-specification";
import coarseUrl from "world-atlas/land-110m.json?url";
import fineUrl from "world-atlas/land-50m.json?url";
import type { View } from "./view";

/** From this zoom on, the coarse outlines are off by more than a few pixels. */
const FINE_ZOOM = 4;
/** From this zoom on, outlines are off by so much that they would mislead. */
const MAX_OUTLINE_ZOOM = 12.5;

/** Colours of the ground beneath everything. */
export interface LandColours {
  water: string;
  land: string;
  coast: string;
  grid: string;
}

export class Land {
  private coarse: GeoPermissibleObjects | null = null;
  private fine: GeoPermissibleObjects | null = null;
  private fineAsked = false;

  /** `onLoad` is called when there is more to draw than before. */
  constructor(private readonly onLoad: () => void) {
    void load(coarseUrl).then((land) => { this.coarse = land; this.onLoad(); }, () => undefined);
  }

  /** Draws land, sea and a graticule over the whole canvas. */
  draw(context: CanvasRenderingContext2D, view: View, colours: LandColours): void {
    if (view.zoom >= FINE_ZOOM && !this.fineAsked) this.loadFine();
    const known = view.zoom < MAX_OUTLINE_ZOOM;
    context.fillStyle = known ? colours.water : colours.land;
    context.fillRect(0, 0, view.width, view.height);
    const path = geoPath(projection(view), context);
    const land = view.zoom >= FINE_ZOOM ? (this.fine ?? this.coarse) : this.coarse;
    if (land && known) {
      context.beginPath();
      path(land);
      context.fillStyle = colours.land;
      context.fill();
      context.strokeStyle = colours.coast;
      context.lineWidth = 1;
      context.stroke();
    }
    if (view.zoom < 7) {
      context.beginPath();
      path(geoGraticule10());
      context.strokeStyle = colours.grid;
      context.lineWidth = 0.5;
      context.stroke();
    }
  }

  private loadFine(): void {
    this.fineAsked = true;
    load(fineUrl).then(
      (land) => { this.fine = land; this.onLoad(); },
      // The coarse outlines do meanwhile; a later look tries again.
      () => setTimeout(() => { this.fineAsked = false; }, 30_000),
    );
  }
}

async function load(url: string): Promise<GeoPermissibleObjects> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const topology = (await response.json()) as Topology;
  return feature(topology, topology.objects["land"]!);
}

/** d3's projection that agrees with {@link View.project}, clipped a little outside the canvas. */
function projection(view: View) {
  const scale = view.worldPixels / (2 * Math.PI);
  const made = geoMercator().scale(scale).rotate([-view.centre.lon, 0]).translate([0, 0]);
  const y = made([view.centre.lon, view.centre.lat])?.[1] ?? 0;
  return made
    .translate([view.width / 2, view.height / 2 - y])
    .clipExtent([[-8, -8], [view.width + 8, view.height + 8]]);
}
