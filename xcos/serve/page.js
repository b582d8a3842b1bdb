// The page for two photographs, and their explanation.
"use strict";

const EXAMPLES = { // the files and what they show
  "obama_portrait_2012.jpg": "Barack Obama, portrait of 2012",
  "obama_congress_2009.jpg": "Barack Obama before Congress, 2009",
  "obama_blue_room_2010.jpg": "Barack Obama in the Blue Room, 2010",
  "biden_blue_room_2010.jpg": "Joe Biden in the Blue Room, 2010",
};
let running = null; // AbortController of the explanation under way

const slots = ["First photograph", "Second photograph"].map(title => new Slot(title, byId("pair"), changed));

async function changed() {
  if (running) running.abort();
  const status = byId("status"), result = byId("result"), [a, b] = slots;
  status.className = status.textContent = "";
  result.classList.toggle("stale", result.childElementCount > 0);
  if (!a.file || !b.file) { result.replaceChildren(); return; }
  const mine = running = new AbortController();
  status.textContent = "Comparing …";
  try {
    const value = await ask("explain", { a: a.file, b: b.file, face_a: a.chosen, face_b: b.chosen }, mine.signal);
    const view = document.createElement("xcos-explanation");
    view.setAttribute("value", JSON.stringify(value));
    result.replaceChildren(view);
    status.textContent = "";
    result.classList.remove("stale");
    result.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth", block: "nearest" });
  } catch (error) {
    if (error.name === "AbortError") return;
    status.className = "error";
    status.textContent = error.message;
  }
}

// The slot that a photograph without a place of its own goes to: the first empty one, else the second.
const next = () => slots.find(slot => !slot.file) || slots[1];

document.addEventListener("paste", event => {
  const file = [...event.clipboardData.files].find(one => one.type.startsWith("image/"));
  if (file) next().take(file);
});

for (const [name, title] of Object.entries(EXAMPLES)) {
  const button = document.createElement("button"), image = document.createElement("img");
  button.type = "button";
  Object.assign(image, { src: `examples/${name}`, alt: title, title });
  button.append(image);
  button.addEventListener("click", async () => {
    const blob = await (await fetch(image.src)).blob();
    next().take(new File([blob], name, { type: blob.type }));
  });
  byId("examples").append(button);
}
