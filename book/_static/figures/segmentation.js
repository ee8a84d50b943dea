/* Chapter 20: a drawing, every pixel of which gets the colour of its class, by a U-Net in a worker, as one draws. */

liveFigure.define("segmentation", (figure, data) => {
	"use strict";
	const { fill, make } = liveFigure;
	const [SIZE, PIXELS, CLASSES] = [64, 64 * 64, 11];
	const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
	const scene = Float32Array.from(data.image.match(/../g), (pair) => parseInt(pair, 16) / 255);
	let x = scene.slice();

	// The network, in a worker; while it computes, only the latest drawing waits

	const task = (message, report, state) => {
		state.network ??= cnnlib.Network.fromJSON(message.network);
		return state.network.forward(cnnlib.array(message.x).reshape(1, 1, 64, 64)).data;
	};
	let work = null;
	try { work = cnnlib.worker(task); } catch { work = null; } // some pages may not start one
	const here = {};
	let [busy, waiting, y, sent] = [false, null, null, 0];
	async function read(image) {
		if (busy) { waiting = image; return; }
		busy = true;
		const begin = performance.now();
		const message = { x: image, network: sent++ ? null : data.network };
		try { y = work ? await work.run(message) : task(message, null, here); } catch (error) { note.textContent = String(error); }
		busy = false;
		figure.state = { x: image, y, milliseconds: performance.now() - begin };
		show();
		if (waiting) { const next = waiting; waiting = null; read(next); }
	}

	// What is seen

	const drawing = figure.picture("The scene. Draw on it; or move with the arrow keys and put ink with the space bar.", { height: SIZE, width: SIZE });
	fill(drawing.element, { tabindex: 0, role: "application", style: "display: block; width: 100%; touch-action: none; cursor: crosshair" });
	const cursor = make("div", { hidden: true, style: "border: 2px solid var(--lf-accent); height: 3%; pointer-events: none; position: absolute; width: 3%" });
	const map = make("canvas", { width: SIZE, height: SIZE, role: "img", class: "lf-classes", "aria-label": "The scene, coloured by class.", style: "background: #fff; display: block; image-rendering: pixelated; width: 100%" }); // its colours are for paper
	const panel = (title, ...children) => make("div", { style: "flex: 1 1 240px; max-width: 340px" }, make("p", { class: "lf-title" }, title),
		make("div", { style: "border: 1px solid var(--lf-line); position: relative" }, ...children));
	const note = make("p", { class: "lf-note", style: "min-height: 2.8em" });
	const legend = make("p", { style: "align-items: center; display: flex; flex-wrap: wrap; gap: 0.3rem 0.8rem" }, data.colors.map((color, label) =>
		make("span", {}, make("span", { style: `background: ${color}; border: 1px solid var(--lf-line); display: inline-block; height: 0.9em; margin-right: 0.3em; width: 0.9em` }), label)));
	const corrected = figure.checkbox("scores corrected for the class weights", true, () => show());
	const only = figure.select("show", { classes: "the likeliest class", ...Object.fromEntries(data.colors.map((_, k) => [k, `the probability of ${k}`])) }, "classes", () => show());
	figure.row(figure.button("empty", () => { x = new Float32Array(PIXELS); soon(); }), figure.button("the scene again", () => { x = scene.slice(); soon(); }), corrected.element, only.element);
	figure.add(make("div", { style: "display: flex; flex-wrap: wrap; gap: 1rem" }, panel("the scene: draw here", drawing.element, cursor), panel("class of every pixel", map)));
	figure.add(legend);
	figure.add(note);

	const colors = data.colors.map((color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));
	const pen = map.getContext("2d");
	let done = ""; // what the keys have done since the last answer, for those who do not see it

	/* Colour the map: of every pixel a class, and how strongly it is shown. */
	function paint(classes, label, strength) {
		const image = pen.createImageData(SIZE, SIZE);
		for (let k = 0; k < PIXELS; k++) image.data.set([...(colors[label ?? classes[k]] ?? [0, 0, 0]), Math.round(255 * strength[k])], 4 * k);
		pen.putImageData(image, 0, 0);
		const counts = new Array(CLASSES).fill(0);
		for (const one of classes) counts[one]++;
		const seen = counts.slice(0, -1).map((count, digit) => [count, digit]).filter(([count]) => count >= 20).sort((a, b) => b[0] - a[0]);
		const text = seen.length ? seen.map(([count, digit]) => `${digit}: ${count} pixels`).join(", ") : "nothing but background";
		note.textContent = `${text}.${figure.state.milliseconds ? ` Computed in ${Math.round(figure.state.milliseconds)} ms.` : ""}`;
		const likely = strength.filter((one) => one > 0.5).length;
		const said = label === null ? `The scene, coloured by class. ${text}.` : `The probability of ${label} in every pixel. It is above one half in ${likely} pixels.`;
		map.setAttribute("aria-label", said);
		figure.say(`${done}${said}`);
		done = "";
	}

	function show() {
		if (!y) { read(x.slice()); return; } // at first, only the classes are known
		const shift = corrected.value ? data.correction : 0; // of the background's score
		const label = only.value === "classes" ? null : +only.value;
		const [classes, p] = [new Uint8Array(PIXELS), new Float32Array(PIXELS)];
		for (let k = 0; k < PIXELS; k++) {
			const score = (m) => y[m * PIXELS + k] + (m === CLASSES - 1 ? shift : 0);
			let [best, sum] = [0, 0];
			for (let m = 1; m < CLASSES; m++) if (score(m) > score(best)) best = m;
			classes[k] = best;
			if (label === null) continue;
			for (let m = 0; m < CLASSES; m++) sum += Math.exp(score(m) - score(best));
			p[k] = Math.exp(score(label) - score(best)) / sum;
		}
		Object.assign(figure.state, { classes, p });
		paint(classes, label, label === null ? Float32Array.from(classes, (one) => +(one < CLASSES - 1)) : p);
	}

	// What the reader does

	const soon = figure.onceAFrame(() => {
		drawing.show(x, 1);
		read(x.slice());
	});
	function ink(row, column) {
		for (let k = 0; k < PIXELS; k++) {
			const distance = Math.hypot(Math.floor(k / SIZE) - row, k % SIZE - column);
			x[k] = Math.max(x[k], clamp(1.75 - distance, 0, 1));
		}
		soon();
	}
	const place = (event) => {
		const box = drawing.element.getBoundingClientRect();
		return [(event.clientY - box.top) / box.height * SIZE - 0.5, (event.clientX - box.left) / box.width * SIZE - 0.5];
	};
	let last = null;
	drawing.element.addEventListener("pointerdown", (event) => {
		drawing.element.setPointerCapture?.(event.pointerId);
		cursor.hidden = true;
		last = place(event);
		ink(...last);
	});
	drawing.element.addEventListener("pointermove", (event) => {
		if (!last) return;
		const to = place(event);
		const count = Math.ceil(2 * Math.hypot(to[0] - last[0], to[1] - last[1])) || 1;
		for (let k = 1; k <= count; k++) ink(...last.map((value, axis) => value + (to[axis] - value) * k / count));
		last = to;
	});
	for (const end of ["pointerup", "pointercancel"]) drawing.element.addEventListener(end, () => { last = null; });
	let at = [32, 32];
	drawing.element.addEventListener("keydown", (event) => {
		const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], " ": [0, 0] }[event.key];
		if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
		event.preventDefault();
		at = at.map((value, axis) => clamp(value + move[axis], 0, SIZE - 1));
		cursor.hidden = false;
		Object.assign(cursor.style, { top: `${100 * at[0] / SIZE - 0.7}%`, left: `${100 * at[1] / SIZE - 0.7}%` });
		const [here, k] = [`row ${at[0]}, column ${at[1]}`, at[0] * SIZE + at[1]];
		if (event.key === " ") {
			done = `Ink at ${here}. `;
			ink(...at);
		} else {
			const one = figure.state.classes[k];
			figure.say(`At ${here}: ${x[k] > 0.5 ? "ink" : "no ink"}, class ${one < CLASSES - 1 ? one : "background"}.`);
		}
	});
	// For tests, and for the curious
	figure.answers = () => sent;
	figure.settled = () => !busy && !waiting;
	const classes = Uint8Array.from(data.classes, (letter) => parseInt(letter, 16));
	figure.state = { x, y: [], p: [], classes };
	drawing.show(x, 1);
	paint(classes, null, Float32Array.from(classes, (one) => +(one < CLASSES - 1)));
});
