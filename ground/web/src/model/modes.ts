/** What an autopilot's heartbeat says, in words. */

/** MAV_AUTOPILOT. */
const ARDUPILOT = 3;
const PX4 = 12;
/** MAV_AUTOPILOT of what is no autopilot: a ground station, a gimbal. */
const NO_AUTOPILOT = 8;
/** MAV_MODE_FLAG. */
const ARMED_FLAG = 128;

const COPTER: Record<number, string> = {
  0: "Stabilize", 1: "Acro", 2: "Alt hold", 3: "Auto", 4: "Guided", 5: "Loiter", 6: "RTL", 7: "Circle", 9: "Land",
  11: "Drift", 13: "Sport", 14: "Flip", 15: "Autotune", 16: "Pos hold", 17: "Brake", 18: "Throw", 19: "Avoid ADSB",
  20: "Guided no GPS", 21: "Smart RTL", 22: "Flow hold", 23: "Follow", 24: "Zigzag", 25: "System ID",
  26: "Autorotate", 27: "Auto RTL", 28: "Turtle",
};
const PLANE: Record<number, string> = {
  0: "Manual", 1: "Circle", 2: "Stabilize", 3: "Training", 4: "Acro", 5: "FBWA", 6: "FBWB", 7: "Cruise", 8: "Autotune",
  10: "Auto", 11: "RTL", 12: "Loiter", 13: "Take-off", 14: "Avoid ADSB", 15: "Guided", 16: "Initialising", 17: "QStabilize", 18: "QHover",
  19: "QLoiter", 20: "QLand", 21: "QRTL", 22: "QAutotune", 23: "QAcro", 24: "Thermal", 25: "Loiter to QLand",
  26: "Autoland",
};
const ROVER: Record<number, string> = {
  0: "Manual", 1: "Acro", 3: "Steering", 4: "Hold", 5: "Loiter", 6: "Follow", 7: "Simple", 8: "Dock", 9: "Circle", 10: "Auto",
  11: "RTL", 12: "Smart RTL", 15: "Guided", 16: "Initialising",
};
const SUB: Record<number, string> = {
  0: "Stabilize", 1: "Acro", 2: "Depth hold", 3: "Auto", 4: "Guided", 7: "Circle", 9: "Surface", 16: "Pos hold", 19: "Manual",
  20: "Motor detect", 21: "Surftrak",
};
const TABLES = { copter: COPTER, plane: PLANE, rover: ROVER, sub: SUB };
/** What an autopilot enters by itself only. */
const NOT_CHOSEN = new Set(["Initialising", "Avoid ADSB"]);
const PX4_MAIN: Record<number, string> = {
  1: "Manual", 2: "Altitude", 3: "Position", 4: "Auto", 5: "Acro", 6: "Offboard", 7: "Stabilized", 8: "Rattitude",
};
const PX4_AUTO: Record<number, string> = {
  1: "Ready", 2: "Take-off", 3: "Hold", 4: "Mission", 5: "RTL", 6: "Land", 8: "Follow", 9: "Precision land",
};

/** What kind of vehicle a MAV_TYPE is, as far as modes and marks differ. */
export type Kind = "copter" | "plane" | "rover" | "sub" | "other";

/** The kind of a MAV_TYPE. */
export function kindOf(type: number): Kind {
  if ([2, 3, 4, 13, 14, 15, 29, 35].includes(type)) return "copter";
  if (type === 1 || (type >= 19 && type <= 25)) return "plane";
  if (type === 10 || type === 11) return "rover";
  if (type === 12) return "sub";
  return "other";
}

/** A heartbeat in words. */
export interface Heartbeat {
  mode: string;
  armed: boolean;
  kind: Kind;
  /** Which numbers it has for modes; empty where that is not known. */
  table: ModeTable;
}

/** Which numbers stand for modes. */
export type ModeTable = keyof typeof TABLES | "";

/** The modes that an autopilot may be switched to, by name. */
export function modesOf(table: ModeTable): [number: number, name: string][] {
  if (table === "") return [];
  const modes = Object.entries(TABLES[table]).map(([number, name]): [number, string] => [Number(number), name]);
  return modes.filter(([, name]) => !NOT_CHOSEN.has(name)).sort((a, b) => a[1].localeCompare(b[1]));
}

/** What a heartbeat says; `null` when it is none of an autopilot. */
export function readHeartbeat(fields: Record<string, unknown>): Heartbeat | null {
  const { custom_mode: custom, type, autopilot, base_mode: base } = fields;
  if (typeof custom !== "number" || typeof type !== "number" || typeof base !== "number") return null;
  if (autopilot === NO_AUTOPILOT) return null;
  const kind = kindOf(type);
  const table = autopilot !== ARDUPILOT || kind === "other" ? "" : kind;
  const mode = table === "" ? modeName(autopilot, custom) : (TABLES[table][custom] ?? `Mode ${custom}`);
  return { mode, armed: (base & ARMED_FLAG) !== 0, kind, table };
}

function modeName(autopilot: unknown, custom: number): string {
  if (autopilot === PX4) {
    const [main, sub] = [(custom >>> 16) & 0xff, custom >>> 24];
    return (main === 4 ? PX4_AUTO[sub] : undefined) ?? PX4_MAIN[main] ?? `Mode ${main}.${sub}`;
  }
  return `Mode ${custom}`;
}
