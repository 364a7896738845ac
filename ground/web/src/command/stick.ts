/** Where somebody holds a stick: by keys or by a pointer. Two axes, each -1 to 1; forward and right are positive. */

/** Right and forward. */
export type Deflection = [right: number, forward: number];

/** Keys that push the stick. */
const KEYS: Record<string, Deflection> = {
  ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0],
  w: [0, 1], s: [0, -1], a: [-1, 0], d: [1, 0],
};
/** Keys push no farther than this; a pointer may. */
const KEY_REACH = 0.7;
/** Nearer to the middle than this is the middle. */
const DEAD_ZONE = 0.06;

/** Whether a key pushes the stick. */
export function isStickKey(key: string): boolean {
  return key in KEYS;
}

/** Where the keys that are down hold the stick. */
export function fromKeys(down: Iterable<string>): Deflection {
  let [right, forward] = [0, 0];
  for (const key of down) {
    right += KEYS[key]?.[0] ?? 0;
    forward += KEYS[key]?.[1] ?? 0;
  }
  return [clamp(right) * KEY_REACH, clamp(forward) * KEY_REACH];
}

/** Where a pointer holds the stick, from its place on a pad of `size` pixels. */
export function fromPointer(x: number, y: number, size: number): Deflection {
  const [right, forward] = [(x / size) * 2 - 1, 1 - (y / size) * 2];
  const length = Math.hypot(right, forward);
  if (length < DEAD_ZONE) return [0, 0];
  return length > 1 ? [right / length, forward / length] : [right, forward];
}

function clamp(value: number): number {
  return Math.max(-1, Math.min(1, value));
}
