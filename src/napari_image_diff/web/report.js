"use strict";

const find = (what) => document.querySelector(what);
const findAll = (what) => [...document.querySelectorAll(what)];
const stage = find("#stage");
const pictures = findAll(".picture");
const chosen = find("#chosen");
const whole = pictures[0].viewBox.baseVal;
const size = { width: whole.width, height: whole.height };
const regions = findAll("tr[data-box]").map((row) => {
  const [x, y, width, height] = row.dataset.box.split(" ").map(Number);
  return { row, x, y, width, height };
});

// --- which picture is shown ---

let mode = "swipe";
let other = false; // the second of two that take turns
let held = false;
let timer = 0;

function shown() {
  if (mode === "side") return "both";
  if (mode === "swipe") return held ? "before" : "both";
  if (mode === "difference") return held ? "after" : "difference";
  return (mode === "after") !== (other !== held) ? "after" : "before";
}

function show() {
  stage.dataset.mode = mode;
  stage.dataset.shown = shown();
  for (const button of findAll("button[data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === mode);
  find("#swipe-control").hidden = mode !== "swipe";
  find("#line").hidden = stage.dataset.shown !== "both" || mode !== "swipe";
  find("#blink-control").hidden = mode !== "blink";
  measure();
}

function setMode(name) {
  mode = name;
  other = false;
  play(mode === "blink" && !matchMedia("(prefers-reduced-motion: reduce)").matches);
}

function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => { other = !other; show(); }, 1000 / find("#rate").value) : 0;
  find("#blink").textContent = on ? "Pause" : "Play";
  find("#blink").setAttribute("aria-pressed", on);
  show();
}

function hold(on) {
  held = on;
  show();
}

// --- the line of the swipe, between the edges of what is seen of the picture ---

function edges() {
  const frame = pictures[0].getBoundingClientRect();
  const matrix = pictures[0].getScreenCTM();
  const start = matrix.e - frame.left;
  const end = start + matrix.a * size.width;
  return { start, scale: matrix.a, left: Math.max(0, start), right: Math.min(frame.width, end) };
}

function measure() {
  const { left, right, scale } = edges();
  stage.style.setProperty("--line", `${left + (right - left) * find("#swipe").value / 100}px`);
  for (const picture of pictures) picture.classList.toggle("magnified", scale > 1);
}

function putLine(x) {
  const { left, right, start, scale } = edges();
  find("#swipe").value = 100 * (start + x * scale - left) / (right - left);
  measure();
}

// --- regions ---

let current = -1;
const advice = find("#status").textContent;

function look(x, y, width, height) {
  for (const picture of pictures) picture.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
  measure();
}

function choose(index) {
  regions[current]?.row.removeAttribute("aria-current");
  current = index;
  if (find("#whole")) find("#whole").disabled = index < 0;
  const region = regions[index] ?? { x: 0, y: 0, width: 0, height: 0 };
  for (const name of ["x", "y", "width", "height"]) chosen.setAttribute(name, region[name]);
  if (index < 0) {
    find("#status").textContent = advice;
    look(0, 0, size.width, size.height);
    return;
  }
  region.row.setAttribute("aria-current", "true");
  const kind = [...(region.row.querySelector(".kind")?.children ?? [])].map((part) => part.textContent);
  find("#status").textContent = [`Region ${region.row.querySelector("button").textContent}`, ...kind].join(": ");
  const around = Math.max(8, Math.max(region.width, region.height) * 0.75);
  look(region.x - around, region.y - around, region.width + 2 * around, region.height + 2 * around);
  putLine(region.x + region.width / 2);
}

function goTo(index) {
  choose(index);
  stage.scrollIntoView({ block: "nearest" });
}

function step(by) {
  if (regions.length) goTo(current < 0 && by < 0 ? regions.length - 1 : (current + by + regions.length) % regions.length);
}

function pointOf(event, picture) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
}

function regionAt(point, picture) {
  const reach = 4 / picture.getScreenCTM().a;
  const inside = regions.filter(({ x, y, width, height }) =>
    point.x > x - reach && point.x < x + width + reach && point.y > y - reach && point.y < y + height + reach);
  inside.sort((one, two) => one.width * one.height - two.width * two.height);
  return regions.indexOf(inside[0]);
}

// --- what a person does ---

for (const button of findAll("button[data-mode]")) button.addEventListener("click", () => setMode(button.dataset.mode));
find("#swipe").addEventListener("input", measure);
find("#blink").addEventListener("click", () => play(!timer));
find("#rate").addEventListener("input", () => play(timer !== 0));
find("#whole")?.addEventListener("click", () => choose(-1));
find("#previous")?.addEventListener("click", () => step(-1));
find("#next")?.addEventListener("click", () => step(1));
find("#boxes-button").addEventListener("click", (event) => {
  const on = stage.dataset.boxes === "off";
  stage.dataset.boxes = on ? "on" : "off";
  event.currentTarget.setAttribute("aria-pressed", on);
});

regions.forEach(({ row }, index) => {
  row.querySelector("button").disabled = false;
  row.addEventListener("click", () => goTo(index));
});

let pressed = null; // where, and whether the pointer has moved since
for (const picture of pictures) {
  picture.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pressed = { x: event.clientX, moved: false };
    picture.setPointerCapture(event.pointerId);
    if (mode !== "swipe" && mode !== "side") hold(true);
  });
  picture.addEventListener("pointermove", (event) => {
    const point = pointOf(event, picture);
    if (!pressed) picture.classList.toggle("over-a-box", regionAt(point, picture) >= 0);
    else if (Math.abs(event.clientX - pressed.x) > 4) pressed.moved = true;
    if (pressed?.moved && mode === "swipe") putLine(point.x);
  });
  picture.addEventListener("pointerup", (event) => {
    const point = pointOf(event, picture);
    const index = regionAt(point, picture);
    if (pressed && !pressed.moved && index >= 0 && index !== current) choose(index);
    else if (pressed && mode === "swipe") putLine(point.x);
  });
  picture.addEventListener("lostpointercapture", () => {
    pressed = null;
    hold(false);
  });
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const free = !event.target.closest("button, input");
  if (event.key === " " && free) {
    event.preventDefault();
    if (!event.repeat) hold(true);
  } else if (event.key === "n") step(1);
  else if (event.key === "p") step(-1);
  else if (event.key === "Escape") choose(-1);
});
addEventListener("keyup", (event) => { if (event.key === " " && held) hold(false); });
addEventListener("blur", () => { if (held) hold(false); });
addEventListener("resize", measure);

// On paper there is all of it
addEventListener("beforeprint", () => { for (const picture of pictures) picture.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`); });
addEventListener("afterprint", () => choose(current));

document.documentElement.classList.add("scripted");
setMode("swipe");
