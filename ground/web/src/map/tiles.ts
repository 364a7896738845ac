/** Map tiles of whoever has a server for them: `https://tiles.example.org/{z}/{x}/{y}.png`. */

import { TILE, toWorld, type View } from "./view";

/** Servers have tiles up to here; beyond, they are enlarged. */
const MAX_TILE_ZOOM = 19;
const MAX_KEPT = 256;

export class Tiles {
  private readonly kept = new Map<string, HTMLImageElement>();

  /** `onLoad` is called when there is more to draw than before. */
  constructor(private readonly template: string, private readonly onLoad: () => void) {}

  /** Draws the tiles that have come; asks for the others. */
  draw(context: CanvasRenderingContext2D, view: View): void {
    const zoom = Math.max(0, Math.min(MAX_TILE_ZOOM, Math.round(view.zoom)));
    const count = 2 ** zoom;
    const size = view.worldPixels / count;
    const [cx, cy] = toWorld(view.centre);
    const left = cx * count - view.width / 2 / size;
    const top = cy * count - view.height / 2 / size;
    for (let y = Math.max(0, Math.floor(top)); y <= Math.min(count - 1, top + view.height / size); y++) {
      for (let x = Math.floor(left); x <= left + view.width / size; x++) {
        const image = this.tile(zoom, ((x % count) + count) % count, y);
        // A hair larger, so that no seams show where pixels are halved.
        if (image.complete && image.naturalWidth > 0) {
          context.drawImage(image, (x - left) * size, (y - top) * size, size + 0.5, size + 0.5);
        }
      }
    }
  }

  private tile(z: number, x: number, y: number): HTMLImageElement {
    const key = `${z}/${x}/${y}`;
    let image = this.kept.get(key);
    if (image) {
      // The least recently used goes first.
      this.kept.delete(key);
    } else {
      image = new Image(TILE, TILE);
      image.onload = this.onLoad;
      image.src = this.template.replace("{z}", String(z)).replace("{x}", String(x)).replace("{y}", String(y));
    }
    this.kept.set(key, image);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= MAX_KEPT) break;
      this.kept.delete(oldest);
    }
    return image;
  }
}
