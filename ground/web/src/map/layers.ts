/** What is drawn over land and sea: rings of distance, the track, home, the vehicle. */

import type { Place } from "../model/geo";
import { distanceText } from "../model/geo";
import type { TrackPiece } from "../model/track";
import { roundDown, type View } from "./view";

/** Colours of the layers. */
export interface LayerColours {
  live: string;
  backlog: string;
  gap: string;
  text: string;
  quiet: string;
  panel: string;
  grid: string;
  warn: string;
}

/** Draws the track: what came live, what came later, and what is still missing. */
export function drawTrack(
  context: CanvasRenderingContext2D, view: View, pieces: readonly TrackPiece[], colours: LayerColours,
): void {
  context.lineJoin = "round";
  context.lineCap = "round";
  // A light casing keeps the line readable on any ground.
  for (const casing of [true, false]) {
    for (const piece of pieces) {
      if (casing && piece.kind === "gap") continue;
      trace(context, view, piece.points);
      context.setLineDash(piece.kind === "gap" ? [2, 7] : []);
      context.lineWidth = casing ? 6 : piece.kind === "gap" ? 2.5 : 3;
      context.strokeStyle = casing ? colours.panel : colours[piece.kind];
      context.globalAlpha = casing ? 0.65 : 1;
      context.stroke();
    }
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

function trace(context: CanvasRenderingContext2D, view: View, points: readonly [number, number][]): void {
  context.beginPath();
  let [lastX, lastY] = [Infinity, Infinity];
  for (const [i, [lon, lat]] of points.entries()) {
    const [x, y] = view.project({ lat, lon });
    const isEnd = i === 0 || i === points.length - 1;
    // Points within half a pixel of each other draw the same.
    if (!isEnd && Math.abs(x - lastX) + Math.abs(y - lastY) < 0.5) continue;
    if (i === 0) context.moveTo(x, y);
    else context.lineTo(x, y);
    [lastX, lastY] = [x, y];
  }
}

/** Draws a net of round distances, which shows motion where there is nothing else to see. */
export function drawNet(context: CanvasRenderingContext2D, view: View, anchor: Place, colour: string): void {
  const perPixel = view.metresPerPixel(anchor.lat);
  const step = roundDown(perPixel * Math.min(view.width, view.height) / 3) / perPixel;
  const [x, y] = view.project(anchor);
  context.beginPath();
  for (let at = x - Math.ceil(x / step) * step; at < view.width; at += step) {
    context.moveTo(Math.round(at) + 0.5, 0);
    context.lineTo(Math.round(at) + 0.5, view.height);
  }
  for (let at = y - Math.ceil(y / step) * step; at < view.height; at += step) {
    context.moveTo(0, Math.round(at) + 0.5);
    context.lineTo(view.width, Math.round(at) + 0.5);
  }
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.stroke();
}

/** Draws rings of round distances around a place, three or four of which are on the map; labels keep off `away`. */
export function drawRings(
  context: CanvasRenderingContext2D, view: View, centre: Place, away: Place | null, colours: LayerColours,
): void {
  const perPixel = view.metresPerPixel(centre.lat);
  const step = roundDown((Math.min(view.width, view.height) * perPixel) / 3);
  const [x, y] = view.project(centre);
  const farthest = Math.hypot(
    Math.max(Math.abs(x), Math.abs(view.width - x)), Math.max(Math.abs(y), Math.abs(view.height - y)),
  );
  const [awayX, awayY] = away ? view.project(away) : [x, y + 1];
  const labelAngle = Math.atan2(y - awayY, x - awayX);
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let ring = 1; ring <= 40; ring++) {
    const radius = (ring * step) / perPixel;
    if (radius > farthest) break;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.strokeStyle = colours.grid;
    context.lineWidth = 1;
    context.stroke();
    const { text, unit } = distanceText(ring * step);
    const label = `${text.replace(/\.0+$/, "")} ${unit}`;
    outlined(context, label, x + radius * Math.cos(labelAngle), y + radius * Math.sin(labelAngle), colours.quiet, colours.panel);
  }
}

/** Draws where the vehicle set out from. */
export function drawHome(context: CanvasRenderingContext2D, view: View, home: Place, colours: LayerColours): void {
  const [x, y] = view.project(home);
  context.beginPath();
  context.arc(x, y, 10, 0, 2 * Math.PI);
  context.fillStyle = colours.panel;
  context.fill();
  context.strokeStyle = colours.text;
  context.lineWidth = 2;
  context.stroke();
  context.beginPath();
  context.moveTo(x - 5, y + 0.5);
  context.lineTo(x, y - 4.5);
  context.lineTo(x + 5, y + 0.5);
  context.moveTo(x - 3.5, y);
  context.lineTo(x - 3.5, y + 4.5);
  context.lineTo(x + 3.5, y + 4.5);
  context.lineTo(x + 3.5, y);
  context.lineWidth = 1.5;
  context.stroke();
}

/** The vehicle as it is drawn. */
export interface VehicleMark extends Place {
  name: string;
  /** Degrees clockwise from north; `null` where nothing tells. */
  heading: number | null;
  /** 0 fresh to 1 old. */
  fade: number;
  /** How far it may have come since, metres. */
  reachM: number;
  isSelected: boolean;
}

/** Draws a vehicle, and around it where it can have got to since it was heard of. */
export function drawVehicle(
  context: CanvasRenderingContext2D, view: View, mark: VehicleMark, colours: LayerColours,
): void {
  const [x, y] = view.project(mark);
  const reach = mark.reachM / view.metresPerPixel(mark.lat);
  if (mark.isSelected && reach > 16) {
    context.beginPath();
    context.arc(x, y, reach, 0, 2 * Math.PI);
    context.fillStyle = colours.warn;
    context.globalAlpha = 0.1;
    context.fill();
    context.globalAlpha = 0.9;
    context.strokeStyle = colours.warn;
    context.lineWidth = 1.5;
    context.setLineDash([6, 5]);
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }
  context.save();
  context.translate(x, y);
  context.beginPath();
  if (mark.heading === null) {
    context.arc(0, 0, 8, 0, 2 * Math.PI);
  } else {
    context.rotate((mark.heading * Math.PI) / 180);
    context.moveTo(0, -15);
    context.lineTo(10.5, 12);
    context.lineTo(0, 6.5);
    context.lineTo(-10.5, 12);
    context.closePath();
  }
  context.lineJoin = "round";
  context.lineWidth = 5;
  context.strokeStyle = colours.panel;
  context.stroke();
  context.fillStyle = mark.fade >= 1 ? colours.gap : mark.isSelected ? colours.live : colours.quiet;
  context.fill();
  context.restore();
  if (!mark.isSelected) {
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "middle";
    outlined(context, mark.name, x + 15, y, colours.text, colours.panel);
  }
}

function outlined(
  context: CanvasRenderingContext2D, text: string, x: number, y: number, colour: string, casing: string,
): void {
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.strokeStyle = casing;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
