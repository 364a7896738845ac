/** The part of the world that a map shows: Web Mercator, in CSS pixels. */

import type { Place } from "../model/geo";

/** Pixels around the world at zoom 0, as tile servers have it. */
export const TILE = 256;
/** Web Mercator is square up to here, degrees. */
const MAX_LAT = 85.05112878;
export const MIN_ZOOM = 1;
export const MAX_ZOOM = 20;
const RADIANS = Math.PI / 180;
const EARTH_CIRCUMFERENCE_M = 40_075_016.686;

/** A point of the map, pixels from its upper left corner. */
export type Point = [x: number, y: number];

/** Longitude and latitude on a square of 1 by 1, north up. */
export function toWorld({ lat, lon }: Place): Point {
  const phi = Math.max(-MAX_LAT, Math.min(MAX_LAT, lat)) * RADIANS;
  return [lon / 360 + 0.5, 0.5 - Math.log(Math.tan(Math.PI / 4 + phi / 2)) / (2 * Math.PI)];
}

/** The inverse of {@link toWorld}. */
export function fromWorld([x, y]: Point): Place {
  return { lon: (x - 0.5) * 360, lat: (2 * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - Math.PI / 2) / RADIANS };
}

export class View {
  centre: Place = { lat: 20, lon: 0 };
  zoom = MIN_ZOOM;
  width = 1;
  height = 1;

  /** Pixels around the world. */
  get worldPixels(): number {
    return TILE * 2 ** this.zoom;
  }

  /** Metres a pixel at a latitude. */
  metresPerPixel(lat = this.centre.lat): number {
    return (EARTH_CIRCUMFERENCE_M * Math.cos(lat * RADIANS)) / this.worldPixels;
  }

  /** Where a place is, on the copy of the world that is nearest to the centre. */
  project(place: Place): Point {
    const [cx, cy] = toWorld(this.centre);
    const [x, y] = toWorld(place);
    const dx = x - cx - Math.round(x - cx);
    return [this.width / 2 + dx * this.worldPixels, this.height / 2 + (y - cy) * this.worldPixels];
  }

  /** Which place is at a point. */
  unproject([px, py]: Point): Place {
    const [cx, cy] = toWorld(this.centre);
    return fromWorld([cx + (px - this.width / 2) / this.worldPixels, cy + (py - this.height / 2) / this.worldPixels]);
  }

  /** Moves what is shown by so many pixels. */
  pan(dx: number, dy: number): void {
    const moved = this.unproject([this.width / 2 - dx, this.height / 2 - dy]);
    this.centre = {
      lat: Math.max(-MAX_LAT, Math.min(MAX_LAT, moved.lat)),
      lon: ((moved.lon + 540) % 360) - 180,
    };
  }

  /** Zooms so that the place at a point stays there. */
  zoomAt(point: Point, zoom: number): void {
    const anchor = this.unproject(point);
    this.zoom = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, zoom));
    const [x, y] = this.project(anchor);
    this.pan(point[0] - x, point[1] - y);
  }

  /** Shows all of `places`, with a margin in pixels, no nearer than `maxZoom`. */
  fit(places: readonly Place[], margin = 60, maxZoom = 17): void {
    if (places.length === 0) return;
    const points = places.map(toWorld);
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const room = (pixels: number) => Math.max(1, pixels - 2 * margin);
    const scale = Math.min(room(this.width) / (right - left || 1e-12), room(this.height) / (bottom - top || 1e-12));
    this.zoom = Math.max(MIN_ZOOM, Math.min(maxZoom, Math.log2(scale / TILE)));
    this.centre = fromWorld([(left + right) / 2, (top + bottom) / 2]);
  }

  /** Whether a point is on the map, at least `margin` pixels from its edge. */
  contains([x, y]: Point, margin = 0): boolean {
    return x >= margin && y >= margin && x <= this.width - margin && y <= this.height - margin;
  }
}

/** The largest of 1, 2, 5 times a power of ten that is not above `limit`. */
export function roundDown(limit: number): number {
  const power = 10 ** Math.floor(Math.log10(limit));
  const digit = limit / power;
  return power * (digit >= 5 ? 5 : digit >= 2 ? 2 : 1);
}
