/* Chapter 19: a scene of digits that the reader moves and draws; the network reads it in a worker, as it changes. */

liveFigure.define("detection", (figure, data) => {
	"use strict";
	const { draw, fill, make, number } = liveFigure;
	const [SIZE, CELL, TYPICAL] = [64, 8, 20];
	const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

	// The scene: digits with their places, and ink that was drawn

	const stamps = data.stamps.map(({ height, width, pixels }) => ({
		height, width, values: Float32Array.from(pixels.match(/../g), (pair) => parseInt(pair, 16)),
	}));
	let ink = new Float32Array(SIZE * SIZE);
	let digits = data.start.map(([digit, top, left, height]) => ({ digit, top, left, height }));
	let chosen = 0;

	/* The weights of Pillow's bilinear filter: what each of `to` pixels takes of `from` pixels. */
	function weights(from, to) {
		const scale = from / to, reach = Math.max(scale, 1);
		return Array.from({ length: to }, (_, i) => {
			const centre = (i + 0.5) * scale;
			const list = [];
			for (let j = Math.max(Math.floor(centre - reach + 0.5), 0); j < Math.min(Math.floor(centre + reach + 0.5), from); j++)
				list.push([j, Math.max(1 - Math.abs(j + 0.5 - centre) / reach, 0)]);
			const sum = list.reduce((total, [, weight]) => total + weight, 0);
			return list.map(([j, weight]) => [j, weight / sum]);
		});
	}

	const widthOf = ({ digit, height }) => clamp(Math.round(height * stamps[digit].width / stamps[digit].height), 1, SIZE);

	function compose() {
		const x = ink.slice();
		for (const one of digits) {
			const stamp = stamps[one.digit], width = widthOf(one);
			const [down, across] = [weights(stamp.height, one.height), weights(stamp.width, width)];
			for (let r = 0; r < one.height; r++) for (let s = 0; s < width; s++) {
				let sum = 0;
				for (const [i, a] of down[r]) for (const [j, b] of across[s]) sum += a * b * stamp.values[i * stamp.width + j];
				const at = (one.top + r) * SIZE + one.left + s;
				x[at] = Math.max(x[at], Math.round(sum) / 255);
			}
		}
		return x;
	}

	// From the network's numbers to boxes: `decode` and `suppress` of cnnlib/digits/detection.py

	const iou = (a, b) => {
		const height = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), width = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
		const both = Math.max(height, 0) * Math.max(width, 0);
		const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
		return both / Math.max(area(a) + area(b) - both, 1e-300);
	};

	function decode(y, threshold) {
		const cells = (SIZE / CELL) ** 2, found = [];
		for (let cell = 0; cell < cells; cell++) {
			const z = Array.from({ length: 15 }, (_, m) => y[m * cells + cell]);
			const scores = z.slice(5), most = Math.max(...scores);
			const p = 1 / scores.reduce((sum, score) => sum + Math.exp(score - most), 0); // of the likeliest class
			const score = p / (1 + Math.exp(-z[0]));
			if (!(score >= threshold)) continue;
			const centre = [z[1] + Math.floor(cell / 8), z[2] + cell % 8].map((value) => CELL * value);
			const half = [z[3], z[4]].map((value) => TYPICAL * Math.exp(Math.min(value, 3)) / 2);
			const box = [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]];
			found.push({ box: box.map((side) => clamp(side, 0, SIZE)), label: scores.indexOf(most), score });
		}
		found.sort((a, b) => b.score - a.score);
		return found.reduce((kept, one) => (kept.every(({ box }) => iou(box, one.box) <= data.max_iou) ? [...kept, one] : kept), []);
	}

	// The network, in a worker; while it computes, only the latest scene waits

	const task = (message, report, state) => {
		state.network ??= cnnlib.Network.fromJSON(message.network);
		return state.network.forward(cnnlib.array(message.x).reshape(1, 1, 64, 64)).data;
	};
	let work = null;
	try { work = cnnlib.worker(task); } catch { work = null; } // some pages may not start one
	const here = {};
	let [busy, waiting, y, sent] = [false, null, Float32Array.from(data.y), 0]; // y: of the first scene
	async function read(x) {
		if (busy) { waiting = x; return; }
		busy = true;
		const begin = performance.now();
		const message = { x, network: sent++ ? null : data.network };
		try { y = work ? await work.run(message) : task(message, null, here); } catch (error) { note.textContent = String(error); }
		busy = false;
		figure.state = { x, y, milliseconds: performance.now() - begin };
		show();
		if (waiting) { const next = waiting; waiting = null; read(next); }
	}

	// What is seen

	const picture = figure.picture("A scene of digits. Arrow keys move the chosen digit, n chooses the next, 0 to 9 add one, Delete removes one.", { height: SIZE, width: SIZE });
	fill(picture.element, { tabindex: 0, role: "application", style: "display: block; width: 100%; touch-action: none; cursor: grab" });
	const overlay = draw("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, "aria-hidden": "true", style: "inset: 0; overflow: visible; pointer-events: none; position: absolute; width: 100%" });
	const frame = make("div", { style: "border: 1px solid var(--lf-line, currentColor); flex: 1 1 280px; max-width: 384px; position: relative" }, picture.element, overlay);
	const cell = (text) => make("td", { style: "border: 0; padding: 0 0.6rem; text-align: right" }, text);
	const head = (text) => make("th", { scope: "col", style: "border: 0; padding: 0 0.6rem; text-align: right" }, text);
	const body = make("tbody");
	const table = make("table", { class: "lf-found", style: "border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; margin: 0; width: auto" },
		make("thead", {}, make("tr", { style: "background: none" }, ["class", "score", "top", "left", "bottom", "right"].map(head))), body);
	const note = make("p", { class: "lf-note", style: "min-height: 2.8em" });
	const threshold = figure.slider("threshold", { min: 0.05, max: 0.95, step: 0.05, value: 0.5 }, () => show());
	const height = figure.slider("height of the chosen digit", { min: 12, max: 30, step: 1, value: digits[0].height }, (value) => {
		if (digits[chosen]) change(() => { digits[chosen].height = value; });
	});
	const adders = Array.from({ length: 10 }, (_, digit) => figure.button(digit, () => add(digit), { "aria-label": `add ${digit === 8 ? "an" : "a"} ${digit}`, style: "min-width: 2.25rem" }));
	figure.row(make("span", {}, "add a"), ...adders);
	figure.row(height.element, threshold.element);
	figure.row(figure.button("choose the next", next), figure.button("remove it", remove), figure.button("empty, to draw", clear));
	figure.add(make("div", { style: "align-items: flex-start; display: flex; flex-wrap: wrap; gap: 1rem" }, frame,
		make("div", { style: "flex: 1 1 240px; min-height: 15rem" }, table, note)));

	function show() {
		const found = decode(y, threshold.value);
		figure.state.found = found;
		const boxes = found.flatMap(({ box: [top, left, bottom, right], label, score }) => {
			const below = top < 5;
			return [
				draw("rect", { x: left, y: top, width: right - left, height: bottom - top, fill: "none", stroke: "var(--lf-accent)", "stroke-width": 0.6 }),
				draw("text", { x: left, y: below ? bottom + 3.4 : top - 0.8, "font-size": 3.6, fill: "var(--lf-accent)", "font-weight": "bold" }, `${label}: ${score.toFixed(2)}`),
			];
		});
		const one = digits[chosen];
		if (one) boxes.push(draw("rect", { x: one.left, y: one.top, width: widthOf(one), height: one.height, fill: "none", stroke: "currentColor", "stroke-width": 0.35, "stroke-dasharray": "1.2 1.2" }));
		overlay.replaceChildren(...boxes);
		body.replaceChildren(...found.map(({ box, label, score }) =>
			make("tr", { style: "background: none" }, [label, score.toFixed(2), ...box.map((side) => number(side))].map(cell))));
		note.textContent = `${found.length} found${figure.state.milliseconds ? ` in ${Math.round(figure.state.milliseconds)} ms` : ""}.${one ? " Dashed: the chosen digit." : ""}`;
		const moved = one ? `Chosen: ${one.digit} at row ${one.top}, column ${one.left}, ${one.height} high, ${chosen + 1} of ${digits.length}. ` : "No digit is placed. ";
		figure.say(moved + (found.length ? `Found: ${found.map(({ label, box }) => `${label} at row ${Math.round(box[0])}, column ${Math.round(box[1])}`).join("; ")}.` : "Nothing found."));
	}

	// What the reader does

	function change(act) {
		act();
		for (const one of digits) {
			one.top = clamp(Math.round(one.top), 0, SIZE - one.height);
			one.left = clamp(Math.round(one.left), 0, SIZE - widthOf(one));
		}
		soon();
	}
	const soon = figure.onceAFrame(() => {
		const x = compose();
		picture.show(x, 1);
		read(x);
	});
	function choose(index) {
		chosen = index;
		if (digits[chosen]) height.value = digits[chosen].height;
		show();
	}
	function add(digit) {
		digits.push({ digit, top: 22, left: 24, height: 22 });
		change(() => choose(digits.length - 1));
	}
	function next() { if (digits.length) choose((chosen + 1) % digits.length); }
	function remove() { change(() => { digits.splice(chosen, 1); choose(Math.max(chosen - 1, 0)); }); }
	function clear() { change(() => { digits = []; ink = new Float32Array(SIZE * SIZE); choose(0); }); }

	function pen(row, column) {
		for (let k = 0; k < SIZE * SIZE; k++) {
			const distance = Math.hypot(Math.floor(k / SIZE) - row, k % SIZE - column);
			ink[k] = Math.max(ink[k], clamp(1.75 - distance, 0, 1));
		}
	}
	const place = (event) => {
		const box = picture.element.getBoundingClientRect();
		return [(event.clientY - box.top) / box.height * SIZE - 0.5, (event.clientX - box.left) / box.width * SIZE - 0.5];
	};
	let held = null; // what the pointer moves: a digit, or the pen
	picture.element.addEventListener("pointerdown", (event) => {
		const [row, column] = place(event);
		const inside = (one) => row >= one.top - 1 && row <= one.top + one.height && column >= one.left - 1 && column <= one.left + widthOf(one);
		const index = digits.findLastIndex(inside);
		picture.element.setPointerCapture?.(event.pointerId);
		if (index >= 0) {
			choose(index);
			held = { offset: [row - digits[index].top, column - digits[index].left] };
		} else {
			held = { last: [row, column] };
			change(() => pen(row, column));
		}
	});
	picture.element.addEventListener("pointermove", (event) => {
		if (!held) return;
		const to = place(event);
		if (held.offset) change(() => Object.assign(digits[chosen], { top: to[0] - held.offset[0], left: to[1] - held.offset[1] }));
		else change(() => {
			const count = Math.ceil(2 * Math.hypot(to[0] - held.last[0], to[1] - held.last[1])) || 1;
			for (let k = 1; k <= count; k++) pen(...held.last.map((value, axis) => value + (to[axis] - value) * k / count));
			held.last = to;
		});
	});
	for (const end of ["pointerup", "pointercancel"]) picture.element.addEventListener(end, () => { held = null; });
	picture.element.addEventListener("keydown", (event) => {
		const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
		if (event.ctrlKey || event.metaKey || event.altKey) return;
		if (move && digits[chosen]) change(() => { digits[chosen].top += move[0]; digits[chosen].left += move[1]; });
		else if (/^\d$/.test(event.key)) add(+event.key);
		else if (event.key === "n") next();
		else if (event.key === "Delete" || event.key === "Backspace") remove();
		else return;
		event.preventDefault();
	});
	// For tests, and for the curious
	figure.digits = () => digits;
	figure.answers = () => sent;
	figure.settled = () => !busy && !waiting;
	figure.state = { x: compose(), y };
	picture.show(figure.state.x, 1);
	show();
});
