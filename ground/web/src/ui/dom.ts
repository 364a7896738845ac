/** Making and changing elements, without ever parsing text as HTML. */

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined>;

/** An element; `tag` may carry classes: `div.panel.wide`. Attributes that are `null` or `false` are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K | `${K}.${string}`, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const [name, ...classes] = tag.split(".") as [K, ...string[]];
  const made = document.createElement(name);
  if (classes.length > 0) made.className = classes.join(" ");
  setAttributes(made, attributes);
  append(made, children);
  return made;
}

/** The same for SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): SVGElementTagNameMap[K] {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(made, attributes);
  append(made, children);
  return made;
}

/** Sets text, touching the document only where it changes. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Sets an attribute, touching the document only where it changes. `null` removes it. */
export function setAttribute(target: Element, name: string, value: string | null): void {
  if (value === null) target.removeAttribute(name);
  else if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

/** A button that does something. */
export function button(label: string, onClick: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const made = el("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", onClick);
  return made;
}

/** A round button with an icon of stroke paths in a 24 by 24 box. */
export function iconButton(label: string, path: string, onClick: () => void): HTMLButtonElement {
  const made = el("button.icon", { type: "button", "aria-label": label, title: label });
  made.append(icon(path));
  made.addEventListener("click", onClick);
  return made;
}

/** An icon of stroke paths in a 24 by 24 box. */
export function icon(path: string): SVGSVGElement {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: path }));
}

function setAttributes(target: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      target.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

function append(target: Element, children: Child[]): void {
  for (const child of children) if (child !== null && child !== undefined && child !== false) target.append(child);
}
