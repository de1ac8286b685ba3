// Elements that are made once and then changed in place. Text only: nothing from the wire is ever read as markup.

export const byId = (id) => document.getElementById(id);

export function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function setText(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export const setHidden = (node, hidden) => {
  if (node.hidden !== hidden) node.hidden = hidden;
};

/** A state as a shape and a word; the shape's colour is not the only difference. */
export class State {
  constructor(className = "state") {
    this.word = element("span");
    this.shape = element("i", "shape");
    this.shape.setAttribute("aria-hidden", "true");
    this.node = element("span", className, this.shape, this.word);
  }

  show(tone, word, title = "") {
    setAttribute(this.node, "data-tone", tone);
    setText(this.word, word);
    if (this.node.title !== title) this.node.title = title;
  }
}

/** A bar from 0 to 1. */
export function setMeter(node, share) {
  const valid = Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
  const percent = (valid * 100).toFixed(1);
  setAttribute(node, "aria-valuenow", percent);
  node.firstElementChild.style.transform = `scaleX(${valid})`;
}

/** Children of `parent` behind what it has already, one per item: made once, changed in place, in the items' order. */
export class Keyed {
  constructor(parent, keyOf, make) {
    this.parent = parent;
    this.fixed = parent.lastElementChild;
    this.keyOf = keyOf;
    this.make = make;
    this.views = new Map();
  }

  show(items, ...context) {
    const left = new Map(this.views);
    let before = this.fixed;
    for (const item of items) {
      const key = this.keyOf(item);
      let view = this.views.get(key);
      if (!view) {
        view = this.make(item);
        this.views.set(key, view);
      }
      left.delete(key);
      view.show(item, ...context);
      const place = before ? before.nextElementSibling : this.parent.firstElementChild;
      if (view.node !== place) this.parent.insertBefore(view.node, place);
      before = view.node;
    }
    for (const [key, view] of left) {
      view.node.remove();
      this.views.delete(key);
    }
  }
}
