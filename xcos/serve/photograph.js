// What the pages share: a photograph by file, drop or camera, the faces in it, and requests to the server.
"use strict";

const READ_BY_SERVER = ["image/jpeg", "image/png", "image/bmp", "image/gif"];
const LARGEST = 4096; // pixels of the longer side of a picture that the page itself has to convert
const TRIES = 4; // when the server says that it is busy
const BUSY = "The server is busy; trying again …";
const WITHOUT_CAMERA = { // by the name of what getUserMedia throws
  NotAllowedError: "The camera was refused. Allow it for this page in the browser's settings, or choose a file.",
  NotFoundError: "There is no camera here. Choose a file instead.",
  NotReadableError: "The camera is in use by another program.",
};

const byId = id => document.getElementById(id);

// A request with a form; when the server is busy, again after the time that it names, and busy() is called.
async function ask(path, fields, signal, busy) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof File) form.append(name, value, value.name);
    else form.append(name, value);
  }
  for (let attempt = 1; ; attempt++) {
    const answer = await request(path, { method: "POST", body: form, signal });
    if (answer.status === 503 && attempt < TRIES) {
      busy();
      await new Promise(resolve => setTimeout(resolve, 1000 * Number(answer.headers.get("Retry-After") || 1)));
      continue;
    }
    const json = answer.headers.get("Content-Type")?.startsWith("application/json");
    if (answer.ok && !json) return answer.blob();
    const value = await answer.json().catch(() => ({}));
    if (answer.ok) return value;
    throw new Error(sentence(value.error || `The server answered ${answer.status}.`));
  }
}

function request(path, options) {
  return fetch(path, options).catch(error => {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is xcos serve still running?");
  });
}

const sentence = text => text[0].toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");

// What the server can read as it is; other formats that the browser knows (WebP, AVIF, HEIC) as JPEG.
async function readable(file) {
  if (READ_BY_SERVER.includes(file.type)) return file;
  let bitmap;
  try { bitmap = await createImageBitmap(file); } catch {
    throw new Error(`${file.name || "This"} is no picture that this browser can read.`);
  }
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  return drawn(bitmap, bitmap.width * scale, bitmap.height * scale, file.name);
}

async function drawn(source, width, height, name) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.max(1, Math.round(width)), Math.max(1, Math.round(height))];
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise(resolve => canvas.toBlob(resolve, "image/jpeg", 0.95));
  return new File([blob], name, { type: "image/jpeg" });
}

// One photograph in `place`; changed() is called when another one, or another face, is there, also() for a second file
// that came with it.
class Slot {
  constructor(title, place, changed, also = () => {}) {
    this.changed = changed;
    const content = byId("slot").content.cloneNode(true), part = selector => content.querySelector(selector);
    this.root = part(".slot");
    [this.drop, this.frame, this.image, this.faces] = [".drop", ".frame", "img", ".faces"].map(part);
    [this.hint, this.error, this.choice, this.clear] = [".hint", ".error", ".choice", ".clear"].map(part);
    this.invitation = this.hint.textContent;
    part("legend").textContent = title;
    const input = part("input");
    input.setAttribute("aria-label", `${title}: choose a file`);
    input.addEventListener("change", () => { if (input.files[0]) this.take(input.files[0]); input.value = ""; });
    part(".camera").addEventListener("click", () => openCamera(this));
    this.clear.addEventListener("click", () => { this.empty(); input.focus(); }); // it hides itself
    this.drop.addEventListener("dragover", event => { event.preventDefault(); this.drop.classList.add("over"); });
    this.drop.addEventListener("dragleave", () => this.drop.classList.remove("over"));
    this.drop.addEventListener("drop", event => {
      event.preventDefault();
      this.drop.classList.remove("over");
      const [file, second] = event.dataTransfer.files;
      if (file) this.take(file);
      if (second) also(second, this);
      if (!file) this.fail("That was no file. Save the picture first, or copy and paste it.");
    });
    place.append(content);
    this.turn = 0; // of the last picture taken; answers about earlier ones are dropped
  }

  empty() {
    this.turn++;
    this.file = this.face = null;
    if (this.image.src) URL.revokeObjectURL(this.image.src);
    this.image.removeAttribute("src");
    this.faces.replaceChildren();
    this.error.textContent = "";
    this.frame.hidden = this.clear.hidden = this.choice.hidden = true;
    this.hint.hidden = false;
    this.hint.textContent = this.invitation;
    this.changed();
  }

  fail(message) {
    this.empty();
    this.error.textContent = message;
  }

  async take(file) {
    this.empty();
    const turn = this.turn;
    this.hint.textContent = "Looking for faces …";
    try {
      file = await readable(file);
      const found = await ask("detect", { image: file }, undefined, () => { this.hint.textContent = BUSY; });
      if (turn !== this.turn) return;
      this.show(file, found);
    } catch (error) {
      if (turn === this.turn) this.fail(error.message);
    }
  }

  show(file, found) {
    this.image.src = URL.createObjectURL(file);
    this.image.alt = `${file.name}, ${found.faces.length} ${found.faces.length === 1 ? "face" : "faces"} found`;
    this.frame.hidden = this.clear.hidden = false;
    this.hint.hidden = true;
    if (!found.faces.length) {
      this.error.textContent = "No face was found in this photograph.";
      return;
    }
    this.file = file;
    const percent = (value, whole) => `${100 * value / whole}%`;
    found.faces.forEach((face, i) => {
      const [left, top, right, bottom] = face.box, button = document.createElement("button");
      const [x0, y0, x1, y1] = [Math.max(left, 0), Math.max(top, 0), Math.min(right, found.width), Math.min(bottom, found.height)];
      button.type = "button";
      Object.assign(button.style, { left: percent(x0, found.width), top: percent(y0, found.height),
        width: percent(x1 - x0, found.width), height: percent(y1 - y0, found.height) });
      button.setAttribute("aria-label", `Face ${i}, of ${found.faces.length}`);
      if (found.faces.length > 1) button.append(Object.assign(document.createElement("span"), { textContent: i }));
      button.addEventListener("click", () => this.choose(i));
      this.faces.append(button);
    });
    this.choice.hidden = found.faces.length === 1;
    this.choose(found.main);
  }

  // For the endpoint: which of several faces; a single one needs no choice.
  get chosen() { return this.faces.children.length > 1 ? this.face : ""; }

  choose(face) {
    this.face = face;
    [...this.faces.children].forEach((button, i) => button.setAttribute("aria-pressed", i === face));
    this.choice.textContent = `${this.faces.children.length} faces, counted from 0: face ${face} is taken. Press another to choose it.`;
    this.changed();
  }
}

// A photograph dropped beside its place must not replace the page.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, event => event.preventDefault());

const dialog = byId("camera"), video = dialog.querySelector("video");

async function openCamera(slot) {
  const error = dialog.querySelector(".error"), take = dialog.querySelector(".take");
  error.textContent = "";
  take.disabled = true;
  video.hidden = false;
  take.onclick = async () => {
    const file = await drawn(video, video.videoWidth, video.videoHeight, "camera.jpg");
    dialog.close();
    slot.take(file);
  };
  dialog.showModal();
  try {
    if (!navigator.mediaDevices) throw new Error("Browsers lend the camera to pages of this machine, or by HTTPS, alone.");
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
    if (!dialog.open || video.srcObject) { stop(stream); return; } // cancelled meanwhile
    video.srcObject = stream;
    await video.play();
    take.disabled = false;
  } catch (reason) {
    video.hidden = true;
    error.textContent = WITHOUT_CAMERA[reason.name] || sentence(reason.message);
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

dialog.addEventListener("close", () => {
  if (video.srcObject) stop(video.srcObject);
  video.srcObject = null;
});
dialog.querySelector(".cancel").addEventListener("click", () => dialog.close());
