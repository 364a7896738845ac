/** Units as they come, and as people read them. */

/** How a unit is shown. */
export interface Shown {
  /** The unit's sign. */
  unit: string;
  /** Shown value = value times this. */
  factor: number;
  /** Decimals of the shown value; `null` for as many as the value has. */
  decimals: number | null;
}

const DEGREES = 180 / Math.PI;

const SHOWN: Record<string, Shown> = {
  degE7: { unit: "°", factor: 1e-7, decimals: 6 },
  degE5: { unit: "°", factor: 1e-5, decimals: 5 },
  cdeg: { unit: "°", factor: 0.01, decimals: 1 },
  deg: { unit: "°", factor: 1, decimals: null },
  rad: { unit: "°", factor: DEGREES, decimals: 1 },
  "rad/s": { unit: "°/s", factor: DEGREES, decimals: 1 },
  "mrad/s": { unit: "°/s", factor: DEGREES / 1000, decimals: 1 },
  "cdeg/s": { unit: "°/s", factor: 0.01, decimals: 1 },
  "deg/s": { unit: "°/s", factor: 1, decimals: null },
  mm: { unit: "m", factor: 0.001, decimals: 2 },
  cm: { unit: "m", factor: 0.01, decimals: 2 },
  dm: { unit: "m", factor: 0.1, decimals: 1 },
  dam: { unit: "m", factor: 10, decimals: 0 },
  "mm/s": { unit: "m/s", factor: 0.001, decimals: 2 },
  "cm/s": { unit: "m/s", factor: 0.01, decimals: 2 },
  "dm/s": { unit: "m/s", factor: 0.1, decimals: 1 },
  "m/s/s": { unit: "m/s²", factor: 1, decimals: null },
  mG: { unit: "g", factor: 0.001, decimals: 2 },
  mV: { unit: "V", factor: 0.001, decimals: 2 },
  cV: { unit: "V", factor: 0.01, decimals: 2 },
  mA: { unit: "A", factor: 0.001, decimals: 2 },
  cA: { unit: "A", factor: 0.01, decimals: 2 },
  hJ: { unit: "kJ", factor: 0.1, decimals: 1 },
  cdegC: { unit: "°C", factor: 0.01, decimals: 1 },
  degC: { unit: "°C", factor: 1, decimals: null },
  "c%": { unit: "%", factor: 0.01, decimals: 1 },
  "d%": { unit: "%", factor: 0.1, decimals: 1 },
};

/** How values of `unit` are shown. */
export function shownUnit(unit: string): Shown {
  return SHOWN[unit] ?? { unit, factor: 1, decimals: null };
}

/** Largest values of integer types, with which MAVLink says of a measured quantity that it is unknown. */
const UNKNOWN = new Set([32767, 65535, 2147483647, 4294967295, 18446744073709551615]);

/** Whether a field says that its quantity is unknown. */
export function isUnknown(stream: string, unit: string, value: number): boolean {
  return unit !== "" && stream.startsWith("mavlink/") && UNKNOWN.has(value);
}

/** Microseconds of this size are a time, from 2001 to 2033, and not a time since boot. */
function isEpochMicros(value: number): boolean {
  return value > 1e15 && value < 2e15;
}

/** A value of any kind as text, and its unit's sign. `isFractional` where whole numbers are to have decimals, too. */
export function valueText(
  stream: string, unit: string, value: unknown, isFractional = false,
): { text: string; unit: string } {
  const shown = shownUnit(unit);
  if (value === null || value === undefined) return { text: "–", unit: shown.unit };
  // Bytes come as hexadecimal digits, of which no unit is true: 20 would be 32 °C.
  if (typeof value !== "number") return { text: String(value), unit: "" };
  if (isUnknown(stream, unit, value)) return { text: "–", unit: shown.unit };
  if (unit === "us" && isEpochMicros(value)) {
    return { text: new Date(value / 1000).toISOString().slice(11, 21), unit: "UTC" };
  }
  const decimals = shown.decimals ?? (isFractional && Number.isInteger(value) ? 2 : null);
  return { text: numberText(value * shown.factor, decimals), unit: shown.unit };
}

/** A number with `decimals`, or with as many as it needs, four at most. The minus is a typographic one. */
export function numberText(value: number, decimals: number | null): string {
  const text = decimals === null ? plain(value) : value.toFixed(decimals);
  return text.replace(/^-(?=[0.]*$)/, "").replace("-", "\u2212");
}

function plain(value: number): string {
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size < 1e-4 ? value.toExponential(1) : value.toFixed(size < 0.01 ? 4 : size < 100 ? 2 : 1);
}
