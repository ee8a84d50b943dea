/* The pad of the front page and of the chapter "Draw a digit", without a kernel. The layers are those of cnnlib.js, the
   way from strokes to the image is that of digits.js.

   The network comes from digit-pad-network.js, which the book's build writes: see book/_ext/digit_pad.py. An image is
   flat, row by row. */

"use strict";

(() => {
  const FIELD = 28;
  const BOX = 20;
  const MIDDLE = 14;
  const CANVAS = 280;
  const INK = "#1a1a1a";
  const PAPER = "#ffffff";
  const WIDTH = 7; // pixels of the canvas, for each pixel of the pen's diameter in the network's image

  const clip = (value, low, high) => Math.min(Math.max(value, low), high);

  // From the image to probabilities: the network, layer by layer.

  const network = cnnlib.Network.fromJSON(digitPadNetwork.network);
  const rejecter = cnnlib.Network.fromJSON(digitPadNetwork.rejecter);

  /* Whether images look like digits at all. */
  function areDigits(images) {
    const x = cnnlib.array(images.flatMap((image) => [...image])).reshape(images.length, 1, FIELD, FIELD);
    return cnnlib.digits.looks_like_digit(x, rejecter, digitPadNetwork.threshold);
  }
  const isDigit = (image) => areDigits([image])[0];

  /* Return what is read of a drawing, digit by digit: its strokes, the steps to its image, what every layer makes of it,
     and its probabilities. */
  function readStrokes(strokes, pen, unfinished = false) {
    return cnnlib.digits.digits_of(strokes, pen, areDigits, unfinished).map((part) => {
      const drawn = part.map((number) => strokes[number]);
      const steps = cnnlib.digits.preparation(drawn, pen);
      const outputs = forward(steps.image);
      const probabilities = cnnlib.digits.calibrate(outputs.at(-1).data, digitPadNetwork.temperature);
      const sure = Math.max(...probabilities);
      return { strokes: drawn, steps, outputs, probabilities, sure, digit: probabilities.indexOf(sure) };
    });
  }

  /* Return what every layer makes of an image, an array (1, ...) each; the last holds the probabilities. */
  function forward(image) {
    let x = network.to_input(cnnlib.array(image).reshape(1, FIELD, FIELD));
    return network.layers.map((layer) => (x = layer.forward(x)));
  }

  // The pad

  const percent = (p) => `${Math.min(Math.floor(100 * p + 1e-9), 99)}%`; // adds up to 100 at most; nothing is certain
  const a = (digit) => `${digit === 8 ? "an" : "a"} ${digit}`;

  const HTML = `
    <canvas class="dp-canvas" tabindex="0" role="application"
      aria-label="Drawing area. Draw with mouse, pen or finger. Key c clears it, key z takes the last stroke back."></canvas>
    <div class="dp-result">
      <p class="dp-answer" aria-hidden="true"></p>
      <table class="dp-bars"><caption class="dp-caption">How sure the network is</caption><tbody></tbody></table>
    </div>
    <figure class="dp-picture">
      <canvas class="dp-image" width="28" height="28" role="img" aria-label="The image that the network sees."></canvas>
      <figcaption>what the network sees</figcaption>
    </figure>
    <p class="dp-status" role="status" aria-atomic="true"><span class="dp-done"></span><span class="dp-said"></span></p>
    <div class="dp-tools">
      <div class="dp-row">
        <button type="button" class="dp-clear">Clear</button>
        <button type="button" class="dp-undo">Undo</button>
        <label>Pen <input class="dp-pen" type="range" min="1" max="5" step="0.5" value="2.5" aria-valuetext="2.5 pixels"></label>
      </div>
      <div class="dp-row dp-samples" role="group" aria-label="Sample drawings"><span>or watch a</span></div>
    </div>
    <details class="dp-steps"><summary>Steps from the drawing to this image</summary><div class="dp-row"></div></details>
    <details class="dp-maps"><summary>Feature maps</summary><div class="dp-row"></div></details>`;

  class Pad {
    constructor(root) {
      root.innerHTML = HTML;
      this.root = root;
      this.find = (name) => root.querySelector(`.dp-${name}`);
      this.canvas = this.find("canvas");
      this.pen = 2.5;
      this.strokes = [];
      this.drawing = false;
      this.shown = {}; // how often each digit's samples have been replayed
      const ratio = Math.max(window.devicePixelRatio || 1, 1);
      this.canvas.width = this.canvas.height = Math.round(CANVAS * ratio);
      this.context = this.canvas.getContext("2d");
      this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.makeBars();
      this.makeSamples();
      this.makeFigures();
      this.listen();
      this.redraw();
      this.read();
    }

    makeBars() {
      this.bars = Array.from({ length: 10 }, (_, digit) => {
        const row = this.find("bars").tBodies[0].insertRow();
        row.innerHTML = `<th scope="row">${digit}</th><td class="dp-track"><i></i></td><td class="dp-percent"></td>`;
        return row;
      });
    }

    makeSamples() {
      for (let digit = 0; digit < 10; digit++) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = digit;
        button.setAttribute("aria-label", `Draw a sample ${digit}`);
        button.addEventListener("click", () => this.replay(digit));
        this.find("samples").append(button);
      }
    }

    makeFigures() {
      const figure = (parent, width, height, zoom, caption) => {
        const element = document.createElement("figure");
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [width, height];
        canvas.style.width = `${width * zoom}px`;
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", caption);
        element.innerHTML = `<figcaption>${caption}</figcaption>`;
        element.prepend(canvas);
        this.find(parent).lastElementChild.append(element);
        return canvas;
      };
      this.steps = [
        figure("steps", 112, 112, 1, "1. crop to the ink"),
        figure("steps", FIELD, FIELD, 4, `2. longer side ${BOX} pixels; + is the centre of mass`),
        figure("steps", FIELD, FIELD, 4, `3. centre of mass to (${MIDDLE}, ${MIDDLE})`),
      ];
      this.maps = network.shapes.flatMap(([C, H, W], index) => {
        const name = network.layers[index].constructor.name;
        if (!["ReLU", "Sigmoid"].includes(name) || !H) return [];
        const columns = Math.min(C, H > 14 ? 6 : 8);
        const rows = Math.ceil(C / columns);
        const caption = `${C} feature maps of ${H} x ${W}, after ${name}`;
        const size = [columns * (W + 1) - 1, rows * (H + 1) - 1];
        return [{ index, columns, canvas: figure("maps", ...size, H > 14 ? 2 : 4, caption) }];
      });
    }

    listen() {
      const canvas = this.canvas;
      const at = (event) => {
        const box = canvas.getBoundingClientRect();
        // The border is no part of the drawing area.
        const x = (event.clientX - box.left - canvas.clientLeft) * (CANVAS / canvas.clientWidth);
        const y = (event.clientY - box.top - canvas.clientTop) * (CANVAS / canvas.clientHeight);
        return [x, y];
      };
      canvas.addEventListener("pointerdown", (event) => {
        if (!event.isPrimary || event.button !== 0) return;
        this.stopReplay();
        canvas.focus({ preventScroll: true });
        // A finger would be followed outside of the canvas, where nobody sees the ink.
        if (canvas.hasPointerCapture(event.pointerId)) canvas.releasePointerCapture(event.pointerId);
        this.drawing = true;
        this.strokes.push([at(event)]);
        this.redraw();
        this.readSoon();
        event.preventDefault();
      });
      canvas.addEventListener("pointermove", (event) => {
        if (!this.drawing || !event.isPrimary) return;
        const stroke = this.strokes.at(-1);
        const events = event.getCoalescedEvents?.() ?? [];
        for (const each of events.length ? events : [event]) {
          this.ink([stroke.at(-1), at(each)]);
          stroke.push(at(each));
        }
        this.readSoon();
      });
      for (const end of ["pointerup", "pointerleave", "pointercancel"])
        canvas.addEventListener(end, (event) => {
          if (this.drawing && event.isPrimary) this.finish();
        });
      canvas.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const action = { c: "clear", Escape: "clear", z: "undo", Backspace: "undo" }[event.key];
        if (!action) return;
        event.preventDefault();
        this[action]();
      });
      this.find("clear").addEventListener("click", () => this.clear());
      this.find("undo").addEventListener("click", () => this.undo());
      this.find("pen").addEventListener("input", (event) => {
        this.pen = Number(event.target.value);
        event.target.setAttribute("aria-valuetext", `${this.pen} pixels`);
        this.redraw();
        this.finish();
      });
      for (const part of ["steps", "maps"]) this.find(part).addEventListener("toggle", () => this.read());
    }

    clear() {
      this.stopReplay();
      this.draw([], "Cleared.");
    }

    undo() {
      this.stopReplay();
      const left = this.strokes.slice(0, -1);
      this.draw(left, `Last stroke taken back, ${left.length || "none"} left.`);
    }

    /* Put a drawing on the canvas: strokes of points [x, y], in pixels of the canvas. `done` says how it came about, to
       those who do not see it, unless there was nothing before either. */
    draw(strokes, done = "") {
      const nothing = !strokes.length && !this.strokes.length;
      this.strokes = strokes;
      this.redraw();
      this.finish(nothing ? "" : done);
    }

    /* Draw a sample as a hand would, in about a second; at once for those who want no movement. */
    replay(digit) {
      this.stopReplay();
      const samples = digitPadNetwork.samples[digit];
      this.shown[digit] = (this.shown[digit] ?? -1) + 1;
      const number = this.shown[digit] % samples.length;
      const sample = samples[number];
      const done = `Sample ${number + 1} of ${samples.length}.`;
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
        this.draw(sample, done);
        return;
      }
      const total = sample.flat().length;
      const begin = performance.now();
      this.strokes = [];
      const step = (now) => {
        const count = Math.ceil(total * clip((now - begin) / 800, 0.01, 1));
        let left = count;
        this.strokes = sample.map((stroke) => stroke.slice(0, (left -= stroke.length) < 0 ? left : undefined));
        this.strokes = this.strokes.filter((stroke) => stroke.length);
        this.redraw();
        if (count < total) {
          this.read();
          this.replaying = requestAnimationFrame(step);
        } else {
          this.replaying = undefined;
          this.finish(done);
        }
      };
      this.replaying = requestAnimationFrame(step);
    }

    stopReplay() {
      cancelAnimationFrame(this.replaying);
      this.replaying = undefined;
    }

    ink(points) {
      const context = this.context;
      context.strokeStyle = INK;
      context.lineWidth = WIDTH * this.pen;
      context.lineCap = context.lineJoin = "round";
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of points) context.lineTo(...point);
      context.stroke();
    }

    redraw() {
      this.context.fillStyle = PAPER;
      this.context.fillRect(0, 0, CANVAS, CANVAS);
      for (const stroke of this.strokes) this.ink(stroke);
      if (this.digits?.length > 1) for (const { strokes } of this.digits) this.box(strokes);
      if (this.strokes.length) return;
      this.context.fillStyle = "#6b6b6b";
      this.context.font = `${Math.round((18 * CANVAS) / (this.canvas.clientWidth || CANVAS))}px sans-serif`;
      this.context.textAlign = "center";
      this.context.fillText("draw a digit here", CANVAS / 2, CANVAS / 2);
    }

    /* Draw a box around the ink of strokes. */
    box(strokes) {
      const [top, left, bottom, right] = cnnlib.digits.box_of(strokes);
      const margin = (WIDTH * this.pen) / 2 + 2;
      this.context.strokeStyle = "#d55e00";
      this.context.lineWidth = 2;
      this.context.strokeRect(left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin);
    }

    /* Read at the next frame: however many events of the pen come until then, it is one prediction. */
    readSoon() {
      this.waiting ??= requestAnimationFrame(() => this.read());
    }

    finish(done = "") {
      this.drawing = false;
      this.read();
      const { digit, sure } = this.digits.at(-1) ?? {};
      this.find("done").textContent = done && `${done} `;
      this.find("said").textContent = !this.strokes.length
        ? "Draw a digit."
        : this.digits.length > 1
          ? `It reads ${this.number}, ${percent(this.sure)} sure. The bars are for the last digit.`
          : this.isDigit
            ? `It reads ${a(digit)}, ${percent(sure)} sure.`
            : `This does not look like a digit. The most similar one is ${a(digit)}.`;
    }

    read() {
      cancelAnimationFrame(this.waiting);
      this.waiting = undefined;
      const unfinished = this.drawing || Boolean(this.replaying);
      const boxes = this.digits?.length > 1;
      this.digits = readStrokes(this.strokes, this.pen, unfinished);
      const count = this.digits.length;
      this.number = this.digits.map(({ digit }) => digit).join("");
      this.sure = this.digits.reduce((product, { sure }) => product * sure, 1);
      const empty = !count;
      const { steps, outputs, probabilities } = this.digits.at(-1) ?? {
        steps: cnnlib.digits.preparation([], this.pen),
        probabilities: new Array(10).fill(0),
      };
      this.probabilities = probabilities; // of the last digit
      // A digit that is not finished is not yet one.
      this.isDigit = empty || unfinished || count > 1 || isDigit(steps.image);
      const best = empty || !this.isDigit ? -1 : this.digits.at(-1).digit;
      this.bars.forEach((row, digit) => {
        const p = this.probabilities[digit];
        row.classList.toggle("dp-top", digit === best);
        row.querySelector("i").style.width = `${(100 * p).toFixed(1)}%`;
        row.lastElementChild.textContent = percent(p);
      });
      this.find("caption").textContent = count > 1 ? "How sure it is of the last digit" : "How sure the network is";
      this.find("answer").innerHTML = empty
        ? "?"
        : count > 1
          ? `${this.number} <small>(${percent(this.sure)})</small>`
          : this.isDigit
            ? best
            : "? <small>no digit</small>";
      paint(this.find("image"), count ? this.digits.map((digit) => digit.steps.image) : [steps.image]);
      if (boxes || count > 1) this.redraw();
      if (this.find("steps").open) this.showSteps(steps);
      if (this.find("maps").open) this.showMaps(outputs ?? forward(steps.image));
    }

    showSteps({ low, high, boxed, centre, image }) {
      const context = this.steps[0].getContext("2d");
      context.drawImage(this.canvas, 0, 0, 112, 112);
      if (!low) {
        for (const canvas of this.steps.slice(1)) paint(canvas, [new Float64Array(FIELD * FIELD)]);
        return;
      }
      const scale = 112 / CANVAS;
      context.strokeStyle = "#d55e00";
      context.lineWidth = 2;
      context.strokeRect(low[0] * scale, low[1] * scale, (high[0] - low[0]) * scale, (high[1] - low[1]) * scale);
      paint(this.steps[1], [boxed], centre);
      paint(this.steps[2], [image], [MIDDLE, MIDDLE]);
    }

    showMaps(outputs) {
      for (const { index, columns, canvas } of this.maps) {
        const [, H, W] = network.shapes[index];
        const values = outputs[index].data;
        const most = values.reduce((x, y) => Math.max(x, y), 1e-9);
        const context = canvas.getContext("2d");
        const pixels = context.createImageData(canvas.width, canvas.height);
        pixels.data.fill(90);
        values.forEach((value, at) => {
          const [map, row, column] = [Math.floor(at / (H * W)), Math.floor((at % (H * W)) / W), at % W];
          const y = Math.floor(map / columns) * (H + 1) + row;
          const x = (map % columns) * (W + 1) + column;
          pixels.data.fill((255 * value) / most, 4 * (y * canvas.width + x), 4 * (y * canvas.width + x) + 3);
        });
        for (let at = 3; at < pixels.data.length; at += 4) pixels.data[at] = 255;
        context.putImageData(pixels, 0, 0);
      }
    }
  }

  /* Paint images (28 * 28), 0 to 1, bright on dark, side by side, with an orange cross of 3 x 3 pixels at (x, y) if there
     is one. */
  function paint(canvas, images, cross) {
    canvas.width = FIELD * images.length;
    const context = canvas.getContext("2d");
    images.forEach((image, number) => {
      const pixels = context.createImageData(FIELD, FIELD);
      image.forEach((value, at) => pixels.data.set([255 * value, 255 * value, 255 * value, 255], 4 * at));
      context.putImageData(pixels, FIELD * number, 0);
    });
    if (!cross) return;
    const [x, y] = cross.map((value) => Math.round(value));
    context.fillStyle = "#ff8c00";
    context.fillRect(x - 1, y, 3, 1);
    context.fillRect(x, y - 1, 1, 3);
  }

  window.digitPad = { forward, isDigit, readStrokes, pads: [] }; // for tests, and for the curious
  const start = () => {
    for (const root of document.querySelectorAll(".digit-pad")) window.digitPad.pads.push(new Pad(root));
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
