/** Moving a map: dragging, wheel, two fingers, keys. */

import type { Point, View } from "./view";

const KEY_STEP = 60;
const WHEEL_ZOOM = 1 / 300;

/** Lets people move `view` on `target`; `onMove` after each change, `isPan` when it is no mere change of scale. */
export function attachGestures(target: HTMLElement, view: View, onMove: (isPan: boolean) => void): void {
  const fingers = new Map<number, Point>();

  const at = (event: MouseEvent): Point => {
    const box = target.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  target.addEventListener("pointerdown", (event) => {
    if (event.target !== target) return;
    target.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
  });
  for (const end of ["pointerup", "pointercancel"] as const) {
    target.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  target.addEventListener("pointermove", (event) => {
    const from = fingers.get(event.pointerId);
    if (!from) return;
    const to = at(event);
    fingers.set(event.pointerId, to);
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const stretch = distance(to, other) / Math.max(1, distance(from, other));
      view.zoomAt([(to[0] + other[0]) / 2, (to[1] + other[1]) / 2], view.zoom + Math.log2(stretch));
      onMove(false);
    } else {
      view.pan(to[0] - from[0], to[1] - from[1]);
      onMove(true);
    }
  });
  target.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.zoomAt(at(event), view.zoom - event.deltaY * WHEEL_ZOOM * (event.deltaMode === 1 ? 20 : 1));
    onMove(false);
  }, { passive: false });
  target.addEventListener("dblclick", (event) => {
    view.zoomAt(at(event), view.zoom + 1);
    onMove(false);
  });
  target.addEventListener("keydown", (event) => {
    const step = KEYS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (typeof step === "number") view.zoomAt([view.width / 2, view.height / 2], view.zoom + step);
    else view.pan(step[0], step[1]);
    onMove(typeof step !== "number");
  });
}

const KEYS: Record<string, Point | number> = {
  ArrowLeft: [KEY_STEP, 0], ArrowRight: [-KEY_STEP, 0], ArrowUp: [0, KEY_STEP], ArrowDown: [0, -KEY_STEP],
  "+": 0.5, "=": 0.5, "-": -0.5,
};

function distance(a: Point, b: Point): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}
