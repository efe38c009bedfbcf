"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const one = (selector, within = document) => within.querySelector(selector);
const data = (section) => JSON.parse(one('script[type="application/json"]', section).textContent);

// Light or dark: what the system prefers, until the button says otherwise.
const dark = matchMedia("(prefers-color-scheme: dark)");
function setTheme(isDark) {
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  one("#theme").setAttribute("aria-pressed", isDark);
}
setTheme(dark.matches);
dark.addEventListener("change", () => setTheme(dark.matches));
one("#theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));

// The basis at one image: one vector of it, its place on both curves, and what swapping does.
for (const viewer of all(".viewer")) {
  const basis = data(viewer);
  const slider = one('input[type="range"]', viewer);
  const picture = (role, address) => { one(`img[data-role="${role}"]`, viewer).src = address; };
  function show() {
    const j = Number(one('input[type="radio"]:checked', viewer).value);
    const i = Number(slider.value);
    const at = basis.at[j];
    for (const [kind, points] of Object.entries(at.curves)) {
      one(`polyline.${kind}`, viewer).setAttribute("points", points);
    }
    for (const line of all("line.at", viewer)) {
      line.setAttribute("x1", basis.places[i]);
      line.setAttribute("x2", basis.places[i]);
    }
    for (const [kind, vectors] of Object.entries(at.vectors)) picture(kind, vectors[i]);
    picture("projection", at.projection);
    const share = (value) => Math.max(value, 0).toPrecision(2);
    const number = `number ${basis.numbers[i]} of ${basis.size}`;
    slider.setAttribute("aria-valuetext", number);
    one("output", viewer).textContent =
      `${number}, basis at image ${j + 1}: singular value ${at.singular[i].toFixed(3)}, ` +
      `eigenvalue ${at.eigen[i].toFixed(3)}; energy beyond it ${share(at.beyond[0][i])} of the image of this basis, ` +
      `${share(at.beyond[1][i])} of others`;
  }
  function pick(event) {
    const plot = event.currentTarget;
    const x = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse()).x;
    const distances = basis.places.map((place) => Math.abs(place - x));
    slider.value = distances.indexOf(Math.min(...distances));
    show();
  }
  for (const plot of all("svg", viewer)) {
    plot.addEventListener("pointermove", pick);
    plot.addEventListener("click", pick);
  }
  viewer.addEventListener("input", show);
  show();
}

// Paths: nothing moves before it is asked to.
for (const player of all(".player")) {
  const { frames } = data(player);
  const [image, button, slider, output] = ["img", "button", "input", "output"].map((name) => one(name, player));
  let timer = null;
  function show() {
    image.src = frames[slider.value];
    output.textContent = `${Number(slider.value) + 1} of ${frames.length}`;
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }
  function step() {
    slider.value = Number(slider.value) + 1;
    show();
    if (Number(slider.value) === frames.length - 1) stop();
  }
  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (Number(slider.value) === frames.length - 1) slider.value = 0;
    button.textContent = "Pause";
    timer = setInterval(step, 120);
    return show();
  });
  slider.addEventListener("input", () => { stop(); show(); });
  show();
}

// Two runs side by side, under the checks that both have.
const articles = all("article");
const [first, second] = [one("#first"), one("#second")];
const compare = one("#compare");
one("#pair").hidden = articles.length < 2;
second.selectedIndex = Math.min(1, articles.length - 1);
function rowsOf(article) {
  return new Map(all(".checks tbody tr", article).map((row) => [row.cells[0].textContent, row.cells]));
}
function cells(row, texts, tag = "td") {
  for (const text of texts) row.append(Object.assign(document.createElement(tag), { textContent: text }));
  return row;
}
function arrange() {
  const pair = compare.getAttribute("aria-pressed") === "true";
  const chosen = [first.value, second.value];
  document.body.classList.toggle("pair", pair);
  for (const article of articles) {
    article.hidden = pair && !chosen.includes(article.id);
    article.style.order = pair ? chosen.indexOf(article.id) : 0;
  }
  const [left, right] = chosen.map((id) => rowsOf(document.getElementById(id)));
  const shared = [...left.keys()].filter((name) => right.has(name));
  const names = [first, second].map((choice) => choice.selectedOptions[0].textContent);
  const [head, body] = [one("#common thead tr"), one("#common tbody")];
  head.replaceChildren();
  body.replaceChildren();
  cells(head, ["check", "theory", ...names.flatMap((name) => [`measured, ${name}`, "met"])], "th");
  for (const name of shared) {
    const of = (row) => [row[2].textContent, row[5].textContent];
    const texts = [name, left.get(name)[1].textContent, ...of(left.get(name)), ...of(right.get(name))];
    body.append(cells(document.createElement("tr"), texts));
  }
  one("#common").hidden = !pair || shared.length === 0 || chosen[0] === chosen[1];
}
compare.addEventListener("click", () => {
  compare.setAttribute("aria-pressed", compare.getAttribute("aria-pressed") !== "true");
  arrange();
});
first.addEventListener("change", arrange);
second.addEventListener("change", arrange);
for (const link of all('nav a[href^="#run"]')) {  // a run that is hidden beside two others
  link.addEventListener("click", () => { compare.setAttribute("aria-pressed", "false"); arrange(); });
}
