/** Every value of every stream of the selected vehicle, each with its age. */

import { ageText } from "../model/age";
import type { Store } from "../model/store";
import type { Stream } from "../model/stream";
import { paintAge } from "./aged";
import { el, setAttribute, setText } from "./dom";

/** What comes first: status and events, then what moves, then the bulk. */
const CLASSES = ["critical", "live", "bulk"];

interface Block {
  stream: Stream;
  element: HTMLElement;
  age: HTMLElement;
  lane: HTMLElement;
  body: HTMLElement;
  rows: Map<string, { value: HTMLElement; unit: HTMLElement }>;
  version: number;
}

export class ValuesDialog {
  readonly element = el("dialog.values", { "aria-label": "All values" });
  private readonly search = el("input", {
    type: "text", role: "searchbox", placeholder: "Find a stream or a value", "aria-label": "Find a stream or a value", autocomplete: "off",
  });
  private readonly grid = el("div.streams");
  private blocks: Block[] = [];

  constructor(private readonly store: Store) {
    const close = el("form", { method: "dialog" }, el("button.primary", {}, "Close"));
    this.element.append(el("header", {}, el("h2", {}, "All values"), this.search, close), this.grid);
    this.search.addEventListener("input", () => this.filter());
  }

  /** Opens it. */
  open(): void {
    this.element.showModal();
    this.search.focus();
  }

  draw(now: number): void {
    if (!this.element.open) return;
    const streams = [...(this.store.selected?.streams.values() ?? [])];
    if (streams.length !== this.blocks.length || this.blocks[0]?.stream !== sorted(streams)[0]) this.rebuild(streams);
    for (const block of this.blocks) if (!block.element.hidden) this.drawBlock(block, now);
  }

  private drawBlock(block: Block, now: number): void {
    const { newest } = block.stream;
    if (!newest) return;
    const age = now - newest.captured;
    setText(block.age, ageText(age));
    paintAge(block.element, age, this.store.isOnline);
    if (block.version === block.stream.version) return;
    block.version = block.stream.version;
    setText(block.lane, newest.lane);
    setAttribute(block.lane, "data-lane", newest.lane);
    const names = Object.keys(newest.fields);
    // Values of fields that are gone must not stand there under the age of others.
    if (names.length !== block.rows.size || names.some((name) => !block.rows.has(name))) this.makeRows(block, names);
    for (const name of names) {
      const row = block.rows.get(name)!;
      const { text, unit } = block.stream.text(name);
      setText(row.value, text);
      setText(row.unit, unit);
    }
  }

  private makeRows(block: Block, names: string[]): void {
    block.rows.clear();
    block.body.replaceChildren(...names.map((name) => {
      const [value, unit] = [el("td"), el("td.unit")];
      block.rows.set(name, { value, unit });
      return el("tr", {}, el("th", { scope: "row" }, name), value, unit);
    }));
  }

  private rebuild(streams: Stream[]): void {
    this.blocks = sorted(streams).map((stream) => {
      const [age, lane, body] = [el("span.age"), el("span.lane"), el("tbody")];
      const prefix = stream.name.slice(0, -stream.shortName.length - 1);
      const element = el("article.stream", { "data-stream": stream.name },
        el("header", {}, el("h3", {}, stream.shortName, prefix ? el("small", {}, prefix) : null), lane, age),
        el("table", {}, body));
      return { stream, element, age, lane, body, rows: new Map(), version: -1 };
    });
    this.grid.replaceChildren(...this.blocks.map((block) => block.element));
    this.filter();
  }

  private filter(): void {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { stream, element } of this.blocks) {
      const text = `${stream.name} ${Object.keys(stream.newest?.fields ?? {}).join(" ")}`.toLowerCase();
      element.hidden = !words.every((word) => text.includes(word));
    }
  }
}

function sorted(streams: Stream[]): Stream[] {
  return streams.sort((a, b) => CLASSES.indexOf(a.class) - CLASSES.indexOf(b.class) || a.name.localeCompare(b.name));
}
