/** Places and directions on the Earth, good to a metre over the distances that a vehicle covers in sight of a map. */

/** Degrees. */
export interface Place {
  lat: number;
  lon: number;
}

const EARTH_RADIUS_M = 6_371_008.8;
const RADIANS = Math.PI / 180;

/** Distance along the great circle, metres. */
export function distanceM(a: Place, b: Place): number {
  const [phi1, phi2] = [a.lat * RADIANS, b.lat * RADIANS];
  const sinPhi = Math.sin((phi2 - phi1) / 2);
  const sinLambda = Math.sin(((b.lon - a.lon) * RADIANS) / 2);
  const h = sinPhi * sinPhi + Math.cos(phi1) * Math.cos(phi2) * sinLambda * sinLambda;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** Direction from `a` to `b`, degrees clockwise from north, 0 to 360. */
export function bearingDeg(a: Place, b: Place): number {
  const [phi1, phi2] = [a.lat * RADIANS, b.lat * RADIANS];
  const lambda = (b.lon - a.lon) * RADIANS;
  const y = Math.sin(lambda) * Math.cos(phi2);
  const x = Math.cos(phi1) * Math.sin(phi2) - Math.sin(phi1) * Math.cos(phi2) * Math.cos(lambda);
  return (Math.atan2(y, x) / RADIANS + 360) % 360;
}

/** A distance in metres for people: `38 m`, `1.24 km`. */
export function distanceText(metres: number): { text: string; unit: string } {
  if (metres < 1000) return { text: metres.toFixed(metres < 10 ? 1 : 0), unit: "m" };
  const km = metres / 1000;
  return { text: km.toFixed(km < 10 ? 2 : km < 100 ? 1 : 0), unit: "km" };
}
