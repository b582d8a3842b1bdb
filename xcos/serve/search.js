// The search page: one photograph, the people most alike in the gallery, and why.
"use strict";

const spoken = byId("status"), list = byId("hits"), enrol = byId("enrol"), sure = byId("sure");
let searching = null; // AbortController of the search under way
let changes = false; // may people be enrolled and deleted?

const say = (text, kind = "") => { spoken.className = kind; spoken.textContent = text; };
const probe = new Slot("Photograph", byId("probe"), search);
const asked = () => ({ image: probe.file, face: probe.chosen });

async function search() {
  if (searching) searching.abort();
  say("");
  list.replaceChildren();
  byId("legend").hidden = true;
  enrol.hidden = !changes || !probe.file;
  if (!probe.file) return;
  const mine = searching = new AbortController();
  say("Searching …");
  try {
    const found = await ask("search", asked(), mine.signal, () => say(BUSY));
    await ready; // it says whether people may be deleted
    show(found);
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, "error");
  }
}

function show(found) {
  say(sentence(found.sentence), !found.reliable ? "noanswer" : found.nobody ? "nobody" : "found");
  byId("legend").hidden = !found.hits.length;
  list.replaceChildren(...found.hits.map((hit, i) => row(hit, i, found.reliable)));
}

const percent = score => `${100 * Math.min(1, Math.max(0, score))}%`;

const made = (kind, className, text = "") => {
  const element = document.createElement(kind);
  element.className = className;
  element.textContent = text;
  return element;
};

function row(hit, i, reliable) {
  const item = made("li", hit.same && reliable ? "hit over" : "hit"), button = made("button", "line");
  const bar = made("span", "bar"), fill = made("span", "fill"), mark = made("span", "mark"), why = made("div", "why");
  button.type = "button";
  why.id = `why-${i}`;
  button.setAttribute("aria-expanded", false);
  button.setAttribute("aria-controls", why.id);
  fill.style.width = percent(hit.score);
  mark.style.left = percent(hit.threshold);
  bar.setAttribute("aria-hidden", true);
  bar.append(fill, mark);
  const place = hit.same ? "over the threshold" : "under the threshold";
  const count = hit.photos > 1 ? `${hit.photos} photographs, most alike: ${hit.photo}` : hit.photo;
  button.append(made("span", "name", hit.name), made("span", "score", hit.score.toFixed(3)), bar,
    made("span", "more", `${place} ${hit.threshold.toFixed(3)} · cosine ${hit.cosine.toFixed(3)} · ${count}`));
  button.addEventListener("click", () => toggle(button, why, hit));
  item.append(button, why);
  if (changes) {
    const remove = made("button", "remove", "Delete this person");
    remove.type = "button";
    remove.setAttribute("aria-label", `Delete ${hit.name}`);
    remove.addEventListener("click", () => confirmRemoval(hit));
    item.append(remove);
  }
  return item;
}

async function toggle(button, why, hit) {
  const expanded = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", !expanded);
  why.replaceChildren();
  if (expanded) return;
  const note = made("p", "hint", "Explaining …");
  why.append(note);
  try {
    const value = await ask("why", { ...asked(), name: hit.name }, searching.signal, () => { note.textContent = BUSY; });
    const view = document.createElement("xcos-explanation");
    view.setAttribute("value", JSON.stringify(value));
    if (button.getAttribute("aria-expanded") === "true") why.replaceChildren(view);
  } catch (error) {
    if (error.name !== "AbortError") why.replaceChildren(made("p", "error", error.message));
  }
}

enrol.addEventListener("submit", async event => {
  event.preventDefault();
  say("Enrolling …");
  try {
    await ask("enrol", { ...asked(), name: enrol.elements.name.value }, undefined, () => say(BUSY));
    enrol.reset();
    count();
    await search();
  } catch (error) {
    say(error.message, "error");
  }
});

function confirmRemoval(hit) {
  byId("sure-text").textContent = `Delete ${hit.name} and all of their photographs' features from the gallery? This cannot be undone.`;
  sure.querySelector(".yes").onclick = async () => {
    sure.close();
    say("Deleting …");
    try {
      await ask("remove", { name: hit.name }, undefined, () => say(BUSY));
      count();
      await search();
    } catch (error) {
      say(error.message, "error");
    }
  };
  sure.showModal();
}

sure.querySelector(".no").addEventListener("click", () => sure.close());

document.addEventListener("paste", event => {
  const file = [...event.clipboardData.files].find(one => one.type.startsWith("image/"));
  if (file) probe.take(file);
});

// How many there are, and whether the page may change them.
async function count() {
  const facts = await fetch("gallery").then(answer => answer.json()).catch(() => null);
  if (!facts) return;
  changes = facts.enrol;
  enrol.hidden = !changes || !probe.file;
  byId("about").textContent = `One photograph in, the most alike of ${facts.people} people (${facts.faces} photographs) out, ` +
    "and the reason for each. The photograph is not stored.";
}

const ready = count();
