// The element <xcos-explanation value='{…}'>: one explanation to look into. Plain JavaScript, nothing is fetched.
// `value` is the JSON of xcos.view.explanation_value. Where scripts don't run the element shows its children.
"use strict";
(() => {
  if (customElements.get("xcos-explanation")) return; // a notebook brings this script with every output

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`@style@`);

  // ColorBrewer's RdBu, the ends of matplotlib's map of that name: safe for colour-blind readers.
  const RED_BLUE = ["67001f", "b2182b", "d6604d", "f4a582", "fddbc7", "f7f7f7", "d1e5f0", "92c5de", "4393c3", "2166ac", "053061"];
  // ColorBrewer's PuOr, from its purple end: other colours than the contributions, which these are not to be taken for.
  const PURPLE_ORANGE = ["2d004b", "542788", "8073ac", "b2abd2", "d8daeb", "f7f7f7", "fee0b6", "fdb863", "e08214", "b35806", "7f3b08"];
  const GREYS = ["ffffff", "d9d9d9", "969696", "525252", "000000"];
  // On a dark page zero is dark, and what is far from it bright, in the same hues.
  const DARK = new Map([
    [RED_BLUE, ["fddbc7", "f4a582", "d6604d", "a33a38", "5c2a2e", "2a2d33", "26425c", "2f6a9c", "4393c3", "92c5de", "d1e5f0"]],
    [PURPLE_ORANGE, ["d8daeb", "b2abd2", "8e80b8", "66519a", "40355c", "2a2d33", "54401f", "8f5c18", "d08020", "fdb863", "fee0b6"]],
    [GREYS, ["2a2d33", "4b5058", "868c95", "c2c6cc", "ffffff"]],
  ]);
  const OVER = [255, 176, 0]; // more attention than the scale has room for

  const MAPS = {
    cosine: { label: "cosine", values: "cosine_map", scale: "cosine", colours: RED_BLUE, digits: 2,
      note: "How alike is each cell? 1: the same, 0: unrelated." },
    attention: { label: "attention", values: "attention", scale: "attention", colours: GREYS, digits: 3,
      note: "How much does each cell count? All cells together: 1." },
    contribution: { label: "contribution", values: "contribution", scale: "contribution", colours: RED_BLUE, digits: 3,
      note: "What does each cell add? Attention × cosine; all cells together: the score." },
    evidence: { label: "evidence", values: "evidence", scale: "evidence", colours: PURPLE_ORANGE, digits: 1,
      note: "Is this cell's cosine usual for one person (above 0) or for two (below)? Not part of the score." },
    deviation: { label: "deviation", values: "deviation", scale: "deviation", colours: PURPLE_ORANGE, digits: 1,
      note: "How far is this cell's cosine from its usual one for one person, in standard deviations? Not part of the score." },
  };

  function h(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function mix(stops, t) {
    const place = Math.min(Math.max(t, 0), 1) * (stops.length - 1), low = Math.min(Math.floor(place), stops.length - 2);
    const part = (stop, i) => parseInt(stop.slice(2 * i, 2 * i + 2), 16);
    return [0, 1, 2].map(i => Math.round(part(stops[low], i) + (place - low) * (part(stops[low + 1], i) - part(stops[low], i))));
  }

  // The colour of a light page, or of a dark one; browsers before 2024 know the first alone.
  const shade = CSS.supports("color", "light-dark(red, red)") ? (light, dark) => `light-dark(${light}, ${dark})` : light => light;

  // Black or white, whichever stands out more: by the relative luminance of WCAG 2.
  function ink(rgb) {
    const [r, g, b] = rgb.map(value => value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05) ** 2 < 1.05 * 0.05 ? "#fff" : "#000";
  }

  const number = (value, digits) => (Number(value.toFixed(digits)) + 0).toFixed(digits).replace("-", "−");
  const short = (value, digits) => number(value, digits).replace(/^(−?)0\./, "$1.");
  const percent = value => `${Math.round(100 * Math.min(Math.max(value, 0), 1))} %`;
  // A text that breaks behind _ - and . rather than amid a word.
  const breakable = text => text.split(/(?<=[_.-])/).flatMap(part => [part, document.createElement("wbr")]);
  const name = (row, column) => String.fromCharCode(65 + column) + (row + 1);

  class XcosExplanation extends HTMLElement {
    static observedAttributes = ["value"];

    attributeChangedCallback() { this.draw(); }

    connectedCallback() {
      this.theme();
      this.watch = new MutationObserver(() => this.theme());
      for (const target of [document.documentElement, document.body])
        this.watch.observe(target, { attributes: true, attributeFilter: ["class", "style", "data-theme", "data-jp-theme-light"] });
      this.media = matchMedia("(prefers-color-scheme: dark)");
      this.onmedia = () => this.theme();
      this.media.addEventListener("change", this.onmedia);
    }

    disconnectedCallback() {
      this.watch.disconnect();
      this.media.removeEventListener("change", this.onmedia);
    }

    // Dark or light as the page around is, which may differ from the system (notebooks have themes).
    theme() {
      let dark = matchMedia("(prefers-color-scheme: dark)").matches;
      for (let at = this; at; at = at.parentElement) {
        const [r, g, b, alpha = 1] = (getComputedStyle(at).backgroundColor.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
        if (alpha > 0.5) { dark = 0.3 * r + 0.59 * g + 0.11 * b < 128; break; }
      }
      this.classList.toggle("dark", dark);
    }

    draw() {
      const text = this.getAttribute("value");
      if (!text) return;
      const e = this.e = JSON.parse(text);
      this.mixed = e.explained < 1; // the face as a whole counts in the score
      [this.rows, this.columns] = [e.cosine_map.length, e.cosine_map[0].length];
      this.ranked = [];
      for (let i = 0; i < this.rows; i++) for (let j = 0; j < this.columns; j++) this.ranked.push([i, j]);
      // What speaks for the decision comes first: for two people, what cells lack against the usual ones of one person.
      const size = ([i, j]) => e.same ? e.contribution[i][j] : e.deficit ? e.deficit[i][j] : Math.abs(e.contribution[i][j]);
      this.order = e.same ? "contribution" : e.deficit ? "deficit against one person's usual cells" : "size of contribution";
      this.ranked.sort((a, b) => size(b) - size(a));
      const root = this.shadowRoot || this.attachShadow({ mode: "open" });
      root.adoptedStyleSheets = [sheet];
      this.faces = [this.face(0), this.face(1)];
      root.replaceChildren(h("section", { "aria-label": this.sentence() },
        this.verdict(),
        h("div", { className: "board" }, ...this.faces.map(face => face.figure), ...this.map(), this.details(), this.table(), ...this.byParts())));
      this.theme();
      this.show(root.querySelector("input:checked").value);
      this.select(...this.ranked[0]);
    }

    sentence() {
      const e = this.e;
      if (e.reliable === false) return `No answer, a face is too poor: score ${number(e.score, 3)}`;
      const said = e.same ? "Same person" : "Different people", place = e.same ? "over" : "not over";
      const verdict = e.undecided ? `Undecided, rather ${said.toLowerCase()}` : said;
      return `${verdict}: score ${number(e.score, 3)} is ${place} the threshold ${number(e.threshold, 3)}`;
    }

    verdict() {
      const e = this.e, place = value => `${50 * (Math.min(Math.max(value, -1), 1) + 1)}%`;
      const dot = h("i", { className: "dot" }), mark = h("i", { className: "mark" }), same = h("i", { className: "zone" });
      dot.style.left = place(e.score);
      mark.style.left = same.style.left = place(e.threshold);
      const poor = e.reliable === false, unsure = poor || e.undecided;
      const said = e.same ? "= Same person" : "≠ Different people";
      return h("header", { className: unsure ? "" : e.same ? "same" : "different" },
        h("h2", { className: "sentence" },
          h("b", {}, poor ? "? No answer" : e.undecided ? `? Undecided, rather ${said.slice(2).toLowerCase()}` : said),
          h("span", {}, `score ${number(e.score, 3)} ${e.same ? ">" : "≤"} threshold ${number(e.threshold, 3)}`)),
        h("div", { className: "scale", "aria-hidden": "true" }, same, mark, dot, h("span", {}, "−1"), h("span", {}, "1")),
        ...(e.notes || []).map(note => h("p", {}, note)),
        ...(e.sentences || []).map(sentence => h("p", {}, sentence)),
        h("p", { className: "quiet" }, `The score is no probability. Threshold: ${e.threshold_from.replace(/\.$/, "")}. ` +
          `Model ${e.model}${this.mixed ? "" : `; plain cosine of the whole faces, for reference: ${number(e.cosine, 3)}`}.`));
    }

    // The score as two bars: all cells together, and apart from them the face as a whole.
    parts() {
      const e = this.e, least = Math.min(0, e.local, e.whole), span = Math.max(e.local, e.whole, 1e-6) - least;
      const line = (kind, label, value, note) => {
        const bar = h("i", { className: `${kind} ${value < 0 ? "less" : "more"}` });
        bar.style.marginLeft = `${100 * (Math.min(value, 0) - least) / span}%`;
        bar.style.width = `${100 * Math.abs(value) / span}%`;
        return [h("span", {}, label, h("small", {}, note)), h("div", {}, bar), h("b", {}, number(value, 4))];
      };
      return h("div", { className: "parts" },
        ...line("local", `The ${this.ranked.length} cells together`, e.local, `count ${percent(e.explained)}`),
        ...line("whole", "The face as a whole", e.whole, `counts ${percent(1 - e.explained)}: plain cosine ${number(e.cosine, 3)}`));
    }

    // A face under a grid for the pointer; the keyboard has the map's grid.
    face(which) {
      const e = this.e, overlay = this.grid((i, j) => h("i", { onpointerenter: () => this.select(i, j), onclick: () => this.select(i, j) }));
      const outline = e.truth ? [h("i", { className: "window" })] : [];
      const photo = e.photos ? this.photo(e.photos[which], e.names[which]) : null;
      const figure = h("figure", { className: "face" },
        h("div", { className: "square" }, h("img", { src: e.crops[which], alt: `Aligned face of ${e.names[which]}` }),
          h("div", { className: "grid", "aria-hidden": "true" }, ...overlay.flat()), ...outline),
        ...(photo ? [photo.element] : []),
        h("figcaption", {}, ...breakable(e.names[which])));
      figure.style.setProperty("--columns", this.columns);
      return { figure, overlay, outline, placed: photo ? photo.cells : null };
    }

    // The photograph around a face, with the cells where they lie in it.
    photo({ src, width, height, cells: corners }, label) {
      const element = h("div", { className: "photo", hidden: true }, h("img", { src, alt: `Photograph ${label}, around the face` }));
      const polygons = corners.flat().map(points => `<polygon points="${points.flat().map(Number).join(" ")}"/>`).join("");
      element.insertAdjacentHTML("beforeend", `<svg viewBox="-0.5 -0.5 ${Number(width)} ${Number(height)}" aria-hidden="true">${polygons}</svg>`);
      const drawn = element.querySelectorAll("polygon"), cells = this.grid((i, j) => drawn[i * this.columns + j]);
      this.grid((i, j) => { cells[i][j].onpointerenter = cells[i][j].onclick = () => this.select(i, j); });
      return { element, cells };
    }

    // Crops or photographs in the place of the two faces.
    place(photographs) {
      for (const { figure } of this.faces) {
        figure.querySelector(".square").hidden = photographs;
        figure.querySelector(".photo").hidden = !photographs;
      }
    }

    grid(make) {
      return Array.from({ length: this.rows }, (_, i) => Array.from({ length: this.columns }, (_, j) => make(i, j)));
    }

    map() {
      const kinds = Object.keys(MAPS).filter(kind => this.e[MAPS[kind].values]);
      const choice = kind => h("label", {},
        h("input", { type: "radio", name: "map", value: kind, checked: kind === "contribution", onchange: () => this.show(kind) }),
        h("span", {}, MAPS[kind].label));
      this.cells = this.grid((i, j) => h("button", { type: "button", role: "gridcell", tabIndex: -1,
        onpointerenter: () => this.select(i, j), onfocus: () => this.select(i, j), onclick: () => this.select(i, j) }));
      const rows = this.cells.map(row => h("div", { role: "row" }, ...row));
      this.board = h("div", { className: "grid", role: "grid", "aria-label": "Cells of the face", onkeydown: event => this.move(event) }, ...rows);
      this.note = h("p", { className: "quiet", id: "note" });
      this.bar = h("div", { className: "bar" });
      this.ends = [h("span"), h("span"), h("span")];
      const overlay = h("input", { type: "checkbox", checked: true, onchange: () => this.paint() });
      this.overlay = overlay;
      const across = h("div", { className: "across", "aria-hidden": "true" });
      const down = h("div", { className: "down", "aria-hidden": "true" });
      for (let j = 0; j < this.columns; j++) across.append(h("span", {}, String.fromCharCode(65 + j)));
      for (let i = 0; i < this.rows; i++) down.append(h("span", {}, String(i + 1)));
      const figure = h("figure", { className: "map" }, h("div", { className: "square" }, across, down, this.board),
        this.bar, h("div", { className: "ends", "aria-hidden": "true" }, ...this.ends));
      figure.style.setProperty("--columns", this.columns);
      return [
        h("fieldset", { className: "kinds" }, h("legend", { className: "hidden" }, "Map"), ...kinds.map(choice)), figure,
        h("div", { className: "notes" }, this.note, ...this.legend(),
          h("label", { className: "check" }, overlay, " colours over the faces too"),
          ...(this.e.photos ? [h("label", { className: "check" },
            h("input", { type: "checkbox", onchange: event => this.place(event.target.checked) }), " the photographs around the faces")] : [])),
      ];
    }

    legend() {
      const { truth } = this.e;
      return truth && truth.little.flat().includes(true) ? [h("p", { className: "quiet legend" },
        `Faded, numbers slanted: cells that know little. Each alone tells people apart with an accuracy below ${percent(truth.least)}.`)] : [];
    }

    show(kind) {
      const e = this.e;
      this.kind = kind;
      this.note.textContent = kind === "contribution" && this.mixed
        ? `What does each cell add? ${number(e.explained, 2)} × attention × cosine; all cells together ${number(e.local, 3)}, ` +
          `and the face as a whole adds ${number(e.whole, 3)}.`
        : MAPS[kind].note;
      this.paint();
    }

    paint() {
      const { values, scale, colours, digits } = MAPS[this.kind], map = this.e[values], [low, high] = this.e.scales[scale];
      const of = colour => shade(colour(colours), colour(DARK.get(colours))), grey = colours === GREYS;
      this.cells.forEach((row, i) => row.forEach((cell, j) => {
        const value = map[i][j], share = (value - low) / (high - low), little = this.little(i, j);
        const rgb = stops => grey && value > high ? OVER : mix(stops, share), colour = of(stops => `rgb(${rgb(stops)})`);
        cell.style.backgroundColor = little ? `color-mix(in srgb, var(--ground) 65%, ${colour})` : colour;
        cell.style.color = little ? "" : of(stops => ink(rgb(stops)));
        cell.textContent = short(value, digits);
        cell.classList.toggle("little", little);
        cell.setAttribute("aria-label", this.words(i, j));
        // Over the faces a cell is the more opaque the further its value is from nothing.
        const opaque = 0.7 * Math.min(grey ? share : Math.abs(2 * share - 1), 1) * (little ? 0.3 : 1);
        const veil = this.overlay.checked ? of(stops => `rgba(${grey ? OVER : rgb(stops)}, ${opaque})`) : "";
        for (const { overlay, placed } of this.faces) {
          overlay[i][j].style.backgroundColor = veil;
          if (placed) placed[i][j].style.fill = veil;
        }
      }));
      this.bar.style.background = `linear-gradient(to right, ${colours.map((_, i) => of(stops => "#" + stops[i]))})`;
      const middle = (low + high) / 2;
      [low, middle, high].forEach((value, i) => this.ends[i].textContent = String(Number(value.toPrecision(3))).replace("-", "−"));
      if (colours === GREYS) this.ends[2].textContent += ", orange: more";
    }

    words(i, j) {
      const e = this.e, evidence = e.evidence ? `, evidence ${number(e.evidence[i][j], 2)}` : "";
      return `Cell ${name(i, j)}: cosine ${number(e.cosine_map[i][j], 3)}, attention ${number(e.attention[i][j], 4)}, ` +
        `contribution ${number(e.contribution[i][j], 4)}${evidence}${this.little(i, j) ? ", knows little" : ""}`;
    }

    little(i, j) {
      return this.e.truth ? this.e.truth.little[i][j] : false;
    }

    // What was measured of a cell, in a line; where it was not measured, of the cells that were.
    measured(i, j) {
      const { truth } = this.e;
      if (!truth) return "A cell also sees what lies around it.";
      const known = truth.own.flat().filter(value => value !== null), own = truth.own[i][j];
      const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
      const inside = own !== null ? `Of this cell's evidence ${percent(own)} comes from inside the frame.`
        : known.length ? `Of a cell's evidence ${percent(mean)} comes from inside its frame, on average.` : "";
      return `${inside} Alone it tells people apart with an accuracy of ${percent(truth.alone[i][j])}${this.little(i, j) ? ": it knows little" : ""}.`;
    }

    details() {
      this.heading = h("h3");
      this.patches = [0, 1].map(which => {
        const window = h("div", { className: "patch", role: "img" }, h("i"));
        window.style.backgroundImage = `url("${this.e.crops[which]}")`;
        return window;
      });
      this.product = h("p", { className: "product" });
      this.remark = h("p", { className: "quiet" });
      this.finding = h("p", { className: "quiet finding" });
      return h("div", { className: "details" }, this.heading, h("div", { className: "patches" }, ...this.patches),
        this.product, this.remark, this.finding);
    }

    select(i, j) {
      const e = this.e;
      if (this.at) for (const mark of this.marks(...this.at)) mark.classList.remove("at");
      if (this.at) this.cells[this.at[0]][this.at[1]].tabIndex = -1;
      this.at = [i, j];
      for (const mark of this.marks(i, j)) mark.classList.add("at");
      this.cells[i][j].tabIndex = 0;
      const rank = this.ranked.findIndex(([r, c]) => r === i && c === j), share = 1 / (this.rows * this.columns);
      this.heading.textContent = `Cell ${name(i, j)}`;
      this.patches.forEach((patch, which) => {
        this.frame(patch, i, j);
        patch.setAttribute("aria-label", `Cell ${name(i, j)} of ${e.names[which]}, and around it`);
      });
      for (const { outline } of this.faces) for (const box of outline) this.surround(box.style, i, j);
      const term = (sign, value, digits, label) => h("span", {}, sign, h("span", {}, h("b", {}, number(value, digits)), h("small", {}, label)));
      this.product.replaceChildren(term("", e.cosine_map[i][j], 3, "cosine"), term("×", e.attention[i][j], 4, "attention"),
        ...(this.mixed ? [term("×", e.explained, 2, "cells count")] : []), term("=", e.contribution[i][j], 4, "contribution"));
      const evidence = e.evidence ? ` Evidence ${number(e.evidence[i][j], 2)}: this cosine is ` +
        `${Number(Math.exp(Math.abs(e.evidence[i][j])).toPrecision(2))} times as usual for ${e.evidence[i][j] > 0 ? "one person as for two" : "two people as for one"}.` : "";
      this.remark.textContent = `Number ${rank + 1} of ${this.ranked.length} by ${this.order}. It counts ` +
        `${number(e.attention[i][j] / share, 1)} times an even share.${evidence}`;
      this.finding.textContent = this.measured(i, j);
    }

    // The window that cell (i, j) is about, cut at the border of the face.
    surround(style, i, j) {
      const half = this.e.truth.share / 2, cut = value => Math.min(Math.max(value, 0), 1);
      const place = (at, count) => [cut((at + 0.5) / count - half), cut((at + 0.5) / count + half)];
      const [left, right] = place(j, this.columns), [top, bottom] = place(i, this.rows);
      [style.left, style.top, style.width, style.height] = [left, top, right - left, bottom - top].map(v => `${100 * v}%`);
    }

    marks(i, j) {
      const placed = this.faces.filter(({ placed }) => placed).map(({ placed }) => placed[i][j]);
      return [this.cells[i][j], ...this.faces.map(({ overlay }) => overlay[i][j]), ...placed, this.lines[i][j]];
    }

    // Three cells wide and high around cell (i, j), kept inside the face; the cell itself is outlined.
    frame(patch, i, j) {
      const place = (at, count) => {
        const span = Math.min(3, count), first = Math.min(Math.max(at - 1, 0), count - span);
        return { size: 100 * count / span, position: count > span ? 100 * first / (count - span) : 0,
          start: 100 * (at - first) / span, side: 100 / span };
      };
      const x = place(j, this.columns), y = place(i, this.rows), outline = patch.firstChild.style;
      patch.style.backgroundSize = `${x.size}% ${y.size}%`;
      patch.style.backgroundPosition = `${x.position}% ${y.position}%`;
      [outline.left, outline.top, outline.width, outline.height] = [x.start, y.start, x.side, y.side].map(v => `${v}%`);
    }

    table() {
      const e = this.e, widest = Math.max(...e.contribution.flat().map(Math.abs), 1e-6);
      const terms = this.ranked.map(([i, j]) => `${number(e.attention[i][j], 5)} × ${number(e.cosine_map[i][j], 5)}`);
      this.lines = this.grid(() => null);
      let sum = 0;
      const rows = this.ranked.map(([i, j]) => {
        const value = e.contribution[i][j], bar = h("i", { className: value < 0 ? "less" : "more" });
        sum += value;
        bar.style.width = `${100 * Math.abs(value) / widest}%`;
        const line = h("tr", { onpointerenter: () => this.select(i, j) },
          h("th", { scope: "row" }, h("button", { type: "button", onfocus: () => this.select(i, j), onclick: () => this.select(i, j) }, name(i, j))),
          h("td", {}, number(e.cosine_map[i][j], 3)), h("td", {}, number(e.attention[i][j], 4)),
          h("td", { className: "value" }, h("div", {}, bar), number(value, 4)), h("td", {}, number(sum, 4)));
        return this.lines[i][j] = line;
      });
      const heads = ["cell", "cosine", "attention", "contri\u00adbution", "sum so far"]; // breaks on a phone
      const cells = terms.join(" + ").replaceAll("× −", "× (−").replace(/\(−[\d.]+/g, "$&)");
      const formula = this.mixed
        ? `${number(e.explained, 4)} × (${cells}) + ${number(1 - e.explained, 4)} × ${number(e.cosine, 5).replace(/^−.*/, "($&)")}` : cells;
      const total = this.mixed
        ? `${number(e.local, 4)} (cells) ${e.whole < 0 ? "−" : "+"} ${number(Math.abs(e.whole), 4)} (the face as a whole) = ${number(e.score, 4)}, the score.`
        : `Sum of all ${rows.length} contributions: ${number(sum, 4)} = the score.`;
      return h("div", { className: "sum" },
        h("h3", {}, `Cells by ${this.order}`),
        h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": `Cells by ${this.order}` },
          h("table", {}, h("thead", {}, h("tr", {}, ...heads.map(text => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows))),
        ...(this.mixed ? [this.parts()] : []),
        h("p", { className: "total" }, h("b", {}, total)),
        h("details", {}, h("summary", {}, "The sum in one line, to check it"),
          h("p", { className: "formula" }, `${formula} = ${number(e.score, 4)}`)));
    }

    // Part by part; the chosen part's cells are marked, as far as a quarter of each is its.
    byParts() {
      const e = this.e;
      if (!e.parts) return [];
      const said = (value, digits) => value === null || value === undefined ? "–" : number(value, digits);
      const mark = part => this.cells.forEach((row, i) => row.forEach((cell, j) => {
        const inside = part !== null && part.shares[i][j] >= 0.25;
        for (const one of [cell, ...this.faces.map(({ overlay }) => overlay[i][j])]) one.classList.toggle("part", inside);
      }));
      const seen = ([first, second]) => first && second ? "both" : first ? "first" : second ? "second" : "neither";
      const rows = e.parts.map(part => {
        const button = h("button", { type: "button", onfocus: () => mark(part), onblur: () => mark(null) }, part.name);
        return h("tr", { onpointerenter: () => mark(part), onpointerleave: () => mark(null) }, h("th", { scope: "row" }, button),
          h("td", {}, said(part.cosine, 3)), h("td", {}, said(part.weight, 3)), h("td", {}, said(part.contribution, 4)),
          ...(e.evidence ? [h("td", {}, said(part.evidence, 1))] : []), h("td", {}, seen(part.visible)));
      });
      const heads = ["part", "cosine", "weight", "adds", ...(e.evidence ? ["evidence"] : []), "surely seen in"];
      return [h("div", { className: "by-parts" }, h("h3", {}, "Part by part"),
        h("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": "Part by part" },
          h("table", {}, h("thead", {}, h("tr", {}, ...heads.map(text => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows))),
        h("p", { className: "quiet" }, "By the 68 points of each face: means of cosine and evidence over a part's cells, sums of weight " +
          `and of what it adds. Choose one to see its cells.${this.mixed ? ` The face as a whole adds ${number(e.whole, 4)} to these.` : ""}`))];
    }

    move(event) {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      let [i, j] = this.at;
      if (event.key in steps) [i, j] = [i + steps[event.key][0], j + steps[event.key][1]];
      else if (event.key === "Home") j = 0;
      else if (event.key === "End") j = this.columns - 1;
      else return;
      event.preventDefault();
      i = Math.min(Math.max(i, 0), this.rows - 1);
      j = Math.min(Math.max(j, 0), this.columns - 1);
      this.cells[i][j].focus();
    }
  }

  customElements.define("xcos-explanation", XcosExplanation);
})();
