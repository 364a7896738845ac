/** What the vehicle's own end of Tern tells of itself, as the stream `tern/edge`. */

import { readField, type Reading } from "../model/readings";
import type { Vehicle } from "../model/vehicle";

const STREAM = "tern/edge";

/** Numbers of the edge; `null` where it does not tell. */
export interface EdgeStatus {
  /** Records in the spool that were not sent. */
  backlogRecords: Reading | null;
  /** Bytes of both directions since its start, headers included. */
  wireBytes: Reading | null;
  /** The rate that it keeps to. */
  rateBits: Reading | null;
  /** The bytes that are left of its scarcest budget. */
  budgetBytes: Reading | null;
}

/** What the edge of a vehicle last told. */
export function edgeStatus(vehicle: Vehicle): EdgeStatus {
  const stream = vehicle.streams.get(STREAM);
  const read = (field: string) => (stream ? readField({ stream, field }) : null);
  return {
    backlogRecords: read("backlog_records"), wireBytes: read("wire_bytes"), rateBits: read("rate_bits_per_second"),
    budgetBytes: read("budget_bytes"),
  };
}
