/** How a record crossed the link: at once, or later, out of what an outage or a loss held up. */
export type Lane = "live" | "backlog";
