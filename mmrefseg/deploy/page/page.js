'use strict';
// The page asks the server once per picture; the threshold, the heat map and what is shown act on what it answered.

const COLOURS = ['#e6194b', '#0082c8', '#3cb44b', '#f58231', '#911eb4', '#008080', '#d4a017', '#f032e6'];
const LEVELS = 200;  // of a probability; the mask of the threshold k / LEVELS is exactly where level > k

const $ = (id) => document.getElementById(id);
const state = { picture: null, file: null, answers: [], asked: 0 };

function say(text, isError = false) {
  $('message').textContent = text;
  $('message').className = isError ? 'error' : '';
}

function showAskable() {
  $('go').disabled = !(state.file && $('expressions').value.trim());
}

async function take(file, name) {
  if (!file) return;
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch {
    return say(`${name || 'This'} is no picture that the browser can show.`, true);
  }
  Object.assign(state, { picture, file, answers: [] });
  $('drop-text').textContent = `${name || 'Picture'}, ${picture.width} × ${picture.height}`;
  say('');
  list();
  draw();
  showAskable();
}

async function readLevels(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const options = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
  const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }), options);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  const pixels = pen.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const levels = new Uint8Array(bitmap.width * bitmap.height);
  for (let i = 0; i < levels.length; i++) levels[i] = pixels[4 * i];
  return levels;
}

async function ask() {
  if ($('go').disabled) return;
  const asked = ++state.asked;
  const form = new FormData();
  form.append('image', state.file, 'picture');
  const lines = $('expressions').value.split('\n').map((line) => line.trim()).filter(Boolean);
  lines.forEach((line) => form.append('expressions', line));
  ['levels', 'routing'].forEach((kind) => form.append('include', kind));
  $('go').disabled = true;
  say('Looking …');
  try {
    const response = await fetch('v1/segment', { method: 'POST', body: form });
    const content = await response.json();
    if (!response.ok) throw new Error(content.detail || response.statusText);
    const levels = await Promise.all(content.answers.map((answer) => readLevels(answer.levels)));
    if (asked !== state.asked) return;
    const [height, width] = content.size;
    state.answers = content.answers.map((answer, i) => ({
      ...answer, levels: levels[i], height, width, colour: COLOURS[i % COLOURS.length], shown: true }));
    $('threshold').value = Math.round(content.threshold * LEVELS);
    say(`${lines.length === 1 ? 'One answer' : `${lines.length} answers`}.`);
    list();
    draw();
  } catch (error) {
    if (asked === state.asked) say(error.message === 'Failed to fetch' ? 'The server does not answer.' : error.message, true);
  } finally {
    if (asked === state.asked) showAskable();
  }
}

// Mean probability inside of a mask, of levels that are upper ends of steps.
function scoreOf(answer, threshold) {
  let sum = 0, number = 0;
  for (const level of answer.levels) if (level > threshold) { sum += level - 0.5; number++; }
  return number ? { score: sum / number / LEVELS, share: number / answer.levels.length } : null;
}

function heatColour(level) {  // black, violet, orange, pale yellow
  const stops = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
  const place = level / LEVELS * (stops.length - 1), i = Math.min(Math.floor(place), stops.length - 2);
  return stops[i].map((from, channel) => from + (stops[i + 1][channel] - from) * (place - i));
}
const HEAT = Array.from({ length: LEVELS + 1 }, (_, level) => heatColour(level));

function paint(answer, pixels, threshold) {
  const { levels, width } = answer;
  const colour = [1, 3, 5].map((i) => parseInt(answer.colour.slice(i, i + 2), 16));
  const edge = Math.max(1, Math.round(width / 400));
  for (let i = 0; i < levels.length; i++) {
    if (levels[i] <= threshold) continue;
    const x = i % width;
    const isEdge = x < edge || x >= width - edge || !(levels[i - edge] > threshold && levels[i + edge] > threshold
      && levels[i - edge * width] > threshold && levels[i + edge * width] > threshold);
    const share = isEdge ? 1 : 0.45;
    for (let c = 0; c < 3; c++) pixels[4 * i + c] += (colour[c] - pixels[4 * i + c]) * share;
  }
}

function paintHeat(answers, pixels) {
  for (let i = 0; i < pixels.length / 4; i++) {
    let level = 0;
    for (const answer of answers) level = Math.max(level, answer.levels[i]);
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = 0.25 * pixels[4 * i + c] + 0.75 * HEAT[level][c];
  }
}

function draw() {
  const canvas = $('stage'), picture = state.picture;
  canvas.hidden = !picture;
  $('empty').hidden = Boolean(picture);
  $('controls').hidden = !state.answers.length;
  if (!picture) return;
  const [first] = state.answers;
  canvas.width = first ? first.width : picture.width;
  canvas.height = first ? first.height : picture.height;
  canvas.style.maxWidth = `${3 * canvas.width}px`;
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const threshold = Number($('threshold').value);
  $('threshold-value').textContent = (threshold / LEVELS).toFixed(3);
  const shown = state.answers.filter((answer) => answer.shown);
  canvas.setAttribute('aria-label', shown.length ? `Picture with masks of ${shown.map((one) => one.expression).join(', ')}`
    : 'Picture');
  if (shown.length) {
    const image = pen.getImageData(0, 0, canvas.width, canvas.height);
    if ($('heat').checked) paintHeat(shown, image.data);
    else shown.forEach((answer) => paint(answer, image.data, threshold));
    pen.putImageData(image, 0, 0);
  }
  state.answers.forEach((answer, i) => {
    const found = scoreOf(answer, threshold);
    $('answers').children[i].querySelector('.score').textContent = found
      ? `score ${found.score.toFixed(2)} · ${(100 * found.share).toFixed(1)} % of the picture` : 'nothing found';
  });
}

function bars(answer) {
  const all = document.createElement('div');
  for (const [router, experts] of Object.entries(answer.routing || {})) {
    const block = document.createElement('div'), title = document.createElement('h3');
    title.textContent = router;
    block.append(title);
    for (const [expert, weight] of Object.entries(experts)) {
      const row = document.createElement('div'), name = document.createElement('span');
      const track = document.createElement('span'), bar = document.createElement('i');
      const value = document.createElement('b');
      track.append(bar);
      row.className = 'bar';
      name.textContent = expert;
      bar.style.width = `${100 * weight}%`;
      value.textContent = `${Math.round(100 * weight)} %`;
      row.append(name, track, value);
      block.append(row);
    }
    all.append(block);
  }
  return [...all.children];
}

function list() {
  $('answers').replaceChildren(...state.answers.map((answer) => {
    const item = $('answer').content.firstElementChild.cloneNode(true), pick = item.querySelector('.pick');
    item.querySelector('.text').textContent = answer.expression;
    Object.assign(item.querySelector('.swatch').style, { background: answer.colour, borderColor: answer.colour });
    pick.addEventListener('click', () => {
      answer.shown = !answer.shown;
      pick.setAttribute('aria-pressed', answer.shown);
      draw();
    });
    item.querySelectorAll('[data-kind]').forEach((button) => button.addEventListener(
      'click', () => save(answer, button.dataset.kind).catch((error) => say(error.message, true))));
    const found = bars(answer);
    item.querySelector('.routing').hidden = !found.length;
    item.querySelector('.bars').append(...found);
    return item;
  }));
}

async function maskFile(answer) {
  const canvas = new OffscreenCanvas(answer.width, answer.height), pen = canvas.getContext('2d');
  const image = pen.createImageData(answer.width, answer.height), threshold = Number($('threshold').value);
  for (let i = 0; i < answer.levels.length; i++) {
    const value = answer.levels[i] > threshold ? 255 : 0;
    image.data.set([value, value, value, 255], 4 * i);
  }
  pen.putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}

async function save(answer, kind) {
  let file = await maskFile(answer), ending = 'png';
  if (kind !== 'png') {
    const form = new FormData();
    form.append('mask', file, 'mask.png');
    const response = await fetch('page/outlines', { method: 'POST', body: form });
    const content = await response.json();
    if (!response.ok) throw new Error(content.detail);
    const saved = { expression: answer.expression, threshold: Number($('threshold').value) / LEVELS,
      size: [answer.height, answer.width], [kind]: content[kind] };
    file = new Blob([JSON.stringify(saved)], { type: 'application/json' });
    ending = 'json';
  }
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = `${answer.expression.replace(/[^\p{L}\p{N}]+/gu, '_').slice(0, 60) || 'mask'}_${kind}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function showExamples() {
  const examples = await (await fetch('page/examples.json')).json();
  $('examples').replaceChildren(...examples.map(({ name, address, expressions }) => {
    const button = document.createElement('button'), image = document.createElement('img');
    button.type = 'button';
    button.title = image.alt = name;
    image.src = address;
    button.append(image);
    button.addEventListener('click', async () => {
      await take(await (await fetch(address)).blob(), name);
      if (expressions.length) $('expressions').value = expressions.join('\n');
      showAskable();
    });
    return button;
  }));
}

$('file').addEventListener('change', (event) => take(event.target.files[0], event.target.files[0]?.name));
$('drop').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); $('file').click(); }
});
for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $('drop').classList.toggle('over', kind === 'dragover');
    if (kind === 'drop') take(event.dataTransfer.files[0], event.dataTransfer.files[0]?.name);
  });
}
document.addEventListener('paste', (event) => {
  const file = [...event.clipboardData.files].find((one) => one.type.startsWith('image/'));
  if (file) { event.preventDefault(); take(file, 'Pasted picture'); }
});
$('expressions').addEventListener('input', showAskable);
document.addEventListener('keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) ask(); });
$('go').addEventListener('click', ask);
let waiting = 0;
for (const id of ['threshold', 'heat']) {
  $(id).addEventListener('input', () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(draw); });
}
showExamples().catch(() => {});
