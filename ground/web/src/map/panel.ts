/** The map: where every vehicle is, where the selected one has been, and how old that is. */

import { ageLevel, agoText, fade } from "../model/age";
import { distanceText, type Place } from "../model/geo";
import type { Store } from "../model/store";
import type { TrackPiece } from "../model/track";
import type { Vehicle } from "../model/vehicle";
import { el, iconButton, setAttribute, setText } from "../ui/dom";
import type { Theme } from "../ui/theme";
import { attachGestures } from "./gestures";
import { Land } from "./land";
import { drawHome, drawNet, drawRings, drawTrack, drawVehicle, type VehicleMark } from "./layers";
import { Tiles } from "./tiles";
import { View, roundDown } from "./view";

const FIRST_ZOOM = 16.5;
/** From this zoom on, land and sea say too little. */
const NET_ZOOM = 11;
/** While it follows, the vehicle stays this share of the map away from its edge. */
const FOLLOW_MARGIN = 0.25;
/** Faster than any vehicle that nobody measures the speed of, m/s. */
const UNKNOWN_SPEED = 15;

export class MapPanel {
  readonly element: HTMLElement;
  private readonly view = new View();
  private readonly canvas = el("canvas");
  private readonly base = document.createElement("canvas");
  private readonly context: CanvasRenderingContext2D;
  private readonly surface: HTMLElement;
  private readonly follow: HTMLButtonElement;
  private readonly position = el("div.position", { role: "status", "aria-live": "off" });
  private readonly positionAge = el("strong");
  private readonly positionText = el("span");
  private readonly coordinates = el("span.coordinates");
  private readonly scale = el("div.scale");
  private readonly land: Land;
  private readonly tiles: Tiles | null;
  private following = true;
  private located: Vehicle | null = null;
  private baseDirty = true;
  private track: { vehicle: Vehicle; version: number; pieces: TrackPiece[] } | null = null;

  constructor(private readonly store: Store, private readonly theme: Theme, tileUrl: string, attribution: string) {
    const redraw = () => { this.baseDirty = true; };
    this.land = new Land(redraw);
    this.tiles = tileUrl ? new Tiles(tileUrl, redraw) : null;
    this.surface = el("div.map-surface", { tabindex: 0, role: "application",
      "aria-label": "Map. Arrow keys move it, plus and minus zoom, F follows the vehicle." }, this.canvas);
    this.follow = iconButton("Follow the vehicle (F)",
      "M12 2v4M12 18v4M2 12h4M18 12h4M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10z", () => this.setFollowing(true));
    const zoom = (by: number) => () => {
      this.view.zoomAt([this.view.width / 2, this.view.height / 2], this.view.zoom + by);
      this.baseDirty = true;
    };
    this.position.append(this.positionAge, this.positionText, this.coordinates);
    this.element = el("section.map", { "aria-label": "Map" }, this.surface, this.position,
      el("div.map-tools", {},
        iconButton("Zoom in (+)", "M12 5v14M5 12h14", zoom(1)),
        iconButton("Zoom out (−)", "M5 12h14", zoom(-1)),
        this.follow,
        iconButton("Show the whole track (A)", "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5", () => this.showAll())),
      el("div.map-foot", {}, this.scale,
        el("ul.legend", {}, el("li.live", {}, "live"), el("li.backlog", {}, "came later"), el("li.gap", {}, "missing")),
        attribution ? el("span.attribution", {}, attribution) : null));
    this.context = this.canvas.getContext("2d")!;
    attachGestures(this.surface, this.view, (isPan) => {
      if (isPan) this.setFollowing(false);
      this.baseDirty = true;
    });
    new ResizeObserver(() => this.resize()).observe(this.surface);
    theme.onChange(redraw);
    this.setFollowing(true);
  }

  /** Handles a key of the whole page; returns whether it was one of the map's. */
  onKey(key: string): boolean {
    if (key === "f") this.setFollowing(true);
    else if (key === "a") this.showAll();
    else return false;
    return true;
  }

  /** Draws everything as of `now`, by the ground's clock. */
  draw(now: number): void {
    const vehicle = this.store.selected;
    this.drawPosition(vehicle, now);
    if (this.view.width <= 1 || !this.element.offsetParent) return;
    if (vehicle?.fix) this.keepInSight(vehicle, vehicle.fix);
    this.drawBase();
    const { context, view } = this;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.drawImage(this.base, 0, 0, view.width, view.height);
    const colours = {
      live: this.theme.get("live"), backlog: this.theme.get("backlog"), gap: this.theme.get("gap"), text: this.theme.get("text"),
      quiet: this.theme.get("quiet"), panel: this.theme.get("panel"), grid: this.theme.get("coast"), warn: this.theme.get("warn"),
    };
    const anchor = vehicle?.home ?? vehicle?.anchor;
    if (anchor && view.zoom >= NET_ZOOM && !this.tiles) drawNet(context, view, anchor, this.theme.get("line"));
    if (vehicle) {
      if (vehicle.home) drawRings(context, view, vehicle.home, vehicle.fix, colours);
      drawTrack(context, view, this.pieces(vehicle), colours);
      if (vehicle.home) drawHome(context, view, vehicle.home, colours);
    }
    const marks = [...this.store.vehicles.values()].flatMap((other) => this.mark(other, now) ?? []);
    marks.sort((a, b) => Number(a.isSelected) - Number(b.isSelected));
    for (const each of marks) drawVehicle(context, view, each, colours);
    this.drawScale();
  }

  private drawPosition(vehicle: Vehicle | null, now: number): void {
    const fix = vehicle?.fix;
    setAttribute(this.position, "hidden", vehicle ? null : "");
    if (!fix) {
      setAttribute(this.position, "data-age", null);
      setText(this.positionAge, "");
      setText(this.positionText, "No position yet");
      setText(this.coordinates, "");
      return;
    }
    const age = now - fix.captured;
    const level = this.store.isOnline ? ageLevel(age) : "old";
    setAttribute(this.position, "data-age", level);
    setText(this.positionAge, agoText(age));
    setText(this.coordinates, `${fix.lat.toFixed(5)}, ${fix.lon.toFixed(5)}`);
    const reach = distanceText(reachM(vehicle, now));
    setText(this.positionText, level === "fresh" ? "position" : `last position, may have moved ${reach.text} ${reach.unit}`);
  }

  private keepInSight(vehicle: Vehicle, fix: Place): void {
    if (this.located !== vehicle) {
      this.located = vehicle;
      this.view.zoom = FIRST_ZOOM;
      this.view.centre = fix;
      this.baseDirty = true;
      this.setFollowing(true);
    } else if (this.following) {
      const { view } = this;
      const [x, y] = view.project(fix);
      const [marginX, marginY] = [view.width * FOLLOW_MARGIN, view.height * FOLLOW_MARGIN];
      const dx = Math.max(0, marginX - x) - Math.max(0, x - (view.width - marginX));
      const dy = Math.max(0, marginY - y) - Math.max(0, y - (view.height - marginY));
      if (dx !== 0 || dy !== 0) {
        view.pan(dx, dy);
        this.baseDirty = true;
      }
    }
  }

  private showAll(): void {
    const vehicle = this.store.selected;
    if (!vehicle) return;
    const places = vehicle.track.pieces().flatMap(({ points }) => points.map(([lon, lat]) => ({ lat, lon })));
    if (vehicle.home) places.push(vehicle.home);
    if (vehicle.fix) places.push(vehicle.fix);
    this.setFollowing(false);
    this.view.fit(places);
    this.baseDirty = true;
  }

  private setFollowing(following: boolean): void {
    this.following = following;
    setAttribute(this.follow, "aria-pressed", String(following));
  }

  private pieces(vehicle: Vehicle): TrackPiece[] {
    const { version } = vehicle.track;
    if (this.track?.vehicle !== vehicle || this.track.version !== version) {
      const pieces = vehicle.track.pieces();
      this.track = { vehicle, version, pieces };
      // For whoever cannot see it: since when there is a track, how many gaps it has, how many stretches came later.
      setAttribute(this.element, "data-since", pieces[0]?.from.toFixed(1) ?? null);
      const count = (kind: TrackPiece["kind"]) => String(pieces.filter((piece) => piece.kind === kind).length);
      setAttribute(this.element, "data-gaps", count("gap"));
      setAttribute(this.element, "data-later", count("backlog"));
    }
    return this.track.pieces;
  }

  private drawBase(): void {
    if (!this.baseDirty) return;
    this.baseDirty = false;
    const context = this.base.getContext("2d")!;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    this.land.draw(context, this.view, {
      water: this.theme.get("water"), land: this.theme.get("land"), coast: this.theme.get("coast"), grid: this.theme.get("grid"),
    });
    this.tiles?.draw(context, this.view);
  }

  private drawScale(): void {
    const perPixel = this.view.metresPerPixel();
    const metres = roundDown(perPixel * 110);
    const { text, unit } = distanceText(metres);
    setText(this.scale, `${text.replace(/\.0+$/, "")} ${unit}`);
    const width = `${(metres / perPixel).toFixed(0)}px`;
    if (this.scale.style.width !== width) this.scale.style.width = width;
  }

  private mark(vehicle: Vehicle, now: number): VehicleMark | null {
    if (!vehicle.fix) return null;
    const age = now - vehicle.fix.captured;
    return {
      name: vehicle.name, lat: vehicle.fix.lat, lon: vehicle.fix.lon, heading: vehicle.reading("heading", now)?.value ?? null,
      fade: this.store.isOnline ? fade(age) : 1, reachM: ageLevel(age) === "fresh" ? 0 : reachM(vehicle, now),
      isSelected: vehicle === this.store.selected,
    };
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.surface;
    if (width === 0 || height === 0) return;
    Object.assign(this.view, { width, height });
    for (const canvas of [this.canvas, this.base]) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
    }
    this.baseDirty = true;
  }
}

/** How far a vehicle can have got since its last fix, metres. */
function reachM(vehicle: Vehicle, now: number): number {
  const speed = vehicle.reading("speed", now)?.value ?? UNKNOWN_SPEED;
  return vehicle.fix ? Math.max(0, now - vehicle.fix.captured) * Math.max(speed, 1) : 0;
}
