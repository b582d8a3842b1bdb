// The page for two photographs, and their explanation.
"use strict";

const EXAMPLES = { // the files and what they show
  "obama_portrait_2012.jpg": "Barack Obama, portrait of 2012",
  "obama_congress_2009.jpg": "Barack Obama before Congress, 2009",
  "obama_blue_room_2010.jpg": "Barack Obama in the Blue Room, 2010",
  "biden_blue_room_2010.jpg": "Joe Biden in the Blue Room, 2010",
};
let running = null; // AbortController of the explanation under way

const slots = ["First photograph", "Second photograph"].map(title => new Slot(title, byId("pair"), changed, also));

// The second of two photographs that were dropped together goes to the other place.
function also(file, slot) { slots.find(other => other !== slot).take(file); }

const pair = () => ({ a: slots[0].file, b: slots[1].file, face_a: slots[0].chosen, face_b: slots[1].chosen });

async function changed() {
  if (running) running.abort();
  const status = byId("status"), result = byId("result"), [a, b] = slots;
  status.className = status.textContent = byId("said").textContent = "";
  byId("case").hidden = true;
  if (!a.file || !b.file) { result.replaceChildren(); return; }
  const mine = running = new AbortController();
  result.inert = true; // of the pair before, till the answer is there
  status.textContent = "Comparing …";
  try {
    const value = await ask("explain", pair(), mine.signal, () => { status.textContent = BUSY; });
    const view = document.createElement("xcos-explanation");
    view.setAttribute("value", JSON.stringify(value));
    result.replaceChildren(view);
    status.textContent = "";
    byId("said").textContent = view.sentence();
    byId("case").hidden = result.inert = false;
    result.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth", block: "nearest" });
  } catch (error) {
    if (error.name === "AbortError") return;
    result.replaceChildren();
    fail(error);
  }
}

function fail(error) {
  byId("status").className = "error";
  byId("status").textContent = error.message;
}

// The slot that a photograph without a place of its own goes to: the first empty one, else the second.
const next = () => slots.find(slot => !slot.file) || slots[1];

document.addEventListener("paste", event => {
  const [file, second] = [...event.clipboardData.files].filter(one => one.type.startsWith("image/"));
  if (!file) return;
  const place = next();
  place.take(file);
  if (second) also(second, place);
});

byId("case").addEventListener("submit", async event => {
  event.preventDefault();
  const status = byId("status"), kind = event.submitter?.value || "pdf", wait = () => { status.textContent = BUSY; };
  status.className = "";
  status.textContent = "Writing the report …";
  try {
    const answer = await ask("report", { ...pair(), kind, case: event.target.elements.case.value }, undefined, wait);
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(answer), download: `case.${kind}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    status.textContent = "The report is written.";
  } catch (error) {
    fail(error);
  }
});

for (const [name, title] of Object.entries(EXAMPLES)) {
  const button = document.createElement("button"), image = document.createElement("img");
  button.type = "button";
  Object.assign(image, { src: `examples/${name}`, alt: title, title });
  button.append(image);
  button.addEventListener("click", async () => {
    try {
      const blob = await (await request(image.src)).blob();
      next().take(new File([blob], name, { type: blob.type }));
    } catch (error) {
      fail(error);
    }
  });
  byId("examples").append(button);
}
