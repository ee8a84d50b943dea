/* What all figures that live in the page share: controls, matrices, charts, and a voice for screen readers.

   A figure is one file in figures/, which only draws and listens; what it shows is computed by cnnlib.js:

     liveFigure.define("name", (figure, data) => { ... });

   The page has <figure class="live-figure" data-figure="name"> with the figure's data in a JSON script and, for those
   without JavaScript, a still picture. `cnnbook.display.live_figure` writes it; `book/_ext/live_figures.py` loads the
   scripts. Everything works with mouse, touch and keyboard, and nothing needs a network. */

var liveFigure = (function () {
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const builders = {};
let count = 0; // of elements that need an id

/** A number as the chapters print it: at most three digits behind the first, and a true minus sign. */
function number(value, digits = 3) {
	if (Number.isNaN(value)) return "nan";
	if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
	const size = Math.abs(value);
	let text = size !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(1) : String(+value.toPrecision(digits));
	if (Object.is(value, -0)) text = "0";
	return text.replace("e+", "e").replace(/-/g, "−");
}

/** Set attributes, event listeners (`onclick`) and children of an element. */
function fill(element, attributes = {}, ...children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (value === true) element.setAttribute(name, "");
		else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
	}
	element.append(...children.flat());
	return element;
}

/** A new HTML element: make("p", { class: "lf-note" }, "text"). */
const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, ...children);

/** A new SVG element. */
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, ...children);

/** The background of a cell: its hue says the sign, its strength the size, relative to `limit`. */
function tint(value, limit) {
	const share = limit > 0 && Number.isFinite(value) ? Math.min(Math.abs(value) / limit, 1) : 0;
	const hue = value < 0 ? "var(--lf-negative)" : "var(--lf-positive)";
	return `color-mix(in srgb, ${hue} ${Math.round(50 * share)}%, transparent)`;
}

const largest = (values) => values.flat(Infinity).reduce((most, value) => Math.max(most, Math.abs(value) || 0), 0);

/** Frames for `matrix.show` that make one frame around a block of cells; its left upper cell is (row, column). */
function block(row, column, height, width = height) {
	const frames = [];
	for (let i = 0; i < height; i++) for (let j = 0; j < width; j++) {
		const edges = [[i === 0, "t"], [i === height - 1, "b"], [j === 0, "l"], [j === width - 1, "r"]].filter(([on]) => on);
		if (edges.length) frames.push([row + i, column + j, ["lf-edge", ...edges.map(([, side]) => `lf-edge-${side}`)].join(" ")]);
	}
	return frames;
}

/** What a figure's own script works with. */
class Figure {
	constructor(element, data) {
		this.element = element;
		this.data = data;
		this.root = make("div", { class: "lf-root" });
		this.voice = make("p", { class: "lf-voice", role: "status", "aria-live": "polite" });
		this.calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
		element.querySelector(".lf-still")?.remove();
		element.append(this.root, this.voice);
	}

	/** Append something to the figure, and return it. */
	add(child, parent = this.root) {
		parent.append(child);
		return child;
	}

	/** A row of controls or parts, which wraps on a narrow screen. */
	row(...children) { return this.add(make("div", { class: "lf-row" }, ...children)); }

	/** A group with a heading. */
	group(title, ...children) {
		const id = `lf-${++count}`;
		return make("div", { class: "lf-group", role: "group", "aria-labelledby": id },
			make("p", { class: "lf-title", id }, title), ...children);
	}

	/** Tell those who cannot see it what has changed; only the last of several texts within a moment is spoken. */
	say(text) {
		clearTimeout(this.speaking);
		this.speaking = setTimeout(() => { this.voice.textContent = text; }, 300);
	}

	/** Return a function that calls `work` at most once a frame. */
	onceAFrame(work) {
		let waiting = false;
		return () => {
			if (waiting) return;
			waiting = true;
			requestAnimationFrame(() => { waiting = false; work(); });
		};
	}

	/** Call `step(k)` again and again, as long as it returns true; stop() ends it. For those who asked for no movement
	    everything happens at once. */
	play(step, milliseconds = 60) {
		let [k, timer, running] = [0, null, true];
		const next = () => {
			if (!running) return;
			running = step(k++) === true;
			if (running) timer = setTimeout(next, milliseconds);
		};
		if (this.calm) while (k < 10_000 && step(k++) === true);
		else next();
		return { stop() { running = false; clearTimeout(timer); }, get running() { return running; } };
	}

	/** A button; `press` is called when it is pressed. */
	button(label, press, attributes = {}) {
		return make("button", { type: "button", onclick: press, ...attributes }, label);
	}

	/** A slider with its label and its value. `format` prints the value; `values` (a list) replaces min, max, step. */
	slider(label, { min = 0, max = 1, step = 0.01, value = min, format = number, values = null }, change) {
		const id = `lf-${++count}`;
		const shown = make("output", { for: id, class: "lf-value" });
		const range = values ? { min: 0, max: values.length - 1, step: 1, value: values.indexOf(value) } : { min, max, step, value };
		const input = make("input", { type: "range", id, ...range });
		const read = () => (values ? values[+input.value] : +input.value);
		const show = () => {
			shown.textContent = format(read());
			input.setAttribute("aria-valuetext", format(read()));
		};
		input.addEventListener("input", () => { show(); change(read()); });
		show();
		const element = make("div", { class: "lf-control" }, make("label", { for: id }, label), input, shown);
		return {
			element, input,
			get value() { return read(); },
			set value(next) { input.value = values ? values.indexOf(next) : next; show(); },
		};
	}

	/** A number to type in. */
	field(label, { value = 0, min, max, step = "any", hidden = false }, change) {
		const id = `lf-${++count}`;
		const input = make("input", { type: "number", inputmode: "decimal", id, value, min, max, step });
		input.addEventListener("input", () => { if (input.value !== "" && input.checkValidity()) change(+input.value); });
		const caption = make("label", { for: id, class: hidden ? "lf-hidden" : false }, label);
		return {
			element: make("div", { class: "lf-control" }, caption, input), input,
			get value() { return +input.value; },
			set value(next) { input.value = next; },
		};
	}

	/** A choice among {value: label}. */
	select(label, options, value, change) {
		const id = `lf-${++count}`;
		const input = make("select", { id, onchange: () => change(input.value) },
			Object.entries(options).map(([key, text]) => make("option", { value: key, selected: key === String(value) }, text)));
		return {
			element: make("div", { class: "lf-control" }, make("label", { for: id }, label), input), input,
			get value() { return input.value; },
			set value(next) { input.value = next; },
		};
	}

	/** A box to tick. */
	checkbox(label, checked, change) {
		const id = `lf-${++count}`;
		const input = make("input", { type: "checkbox", id, checked, onchange: () => change(input.checked) });
		return {
			element: make("div", { class: "lf-control" }, input, make("label", { for: id }, label)), input,
			get value() { return input.checked; },
			set value(next) { input.checked = next; },
		};
	}

	/** A line with a tick or a cross: does what it says hold? With null it only says it. */
	check() {
		const element = make("p", { class: "lf-check" });
		return {
			element,
			show(holds, text) {
				element.classList.toggle("lf-right", Boolean(holds));
				element.classList.toggle("lf-wrong", holds !== null && !holds);
				element.textContent = holds === null ? text : `${holds ? "✓" : "✗"} ${text}`;
			},
		};
	}

	/** A matrix as a grid of numbers.

	    `change(row, column, value)` makes its cells editable; `select(row, column)` is called when one is chosen, by
	    mouse, touch or arrow keys. `show(values, {frames, limit, text})` redraws it: `frames` is a list of [row, column,
	    class] with the classes lf-frame, lf-frame-2 or one of the figure's own; `limit` is the size at which a tint is
	    strongest; `text(value, row, column)` prints a cell. `editable(row, column)` says which cells can be changed, where
	    not all can. */
	matrix(label, values, { change = null, select = null, digits = 3, size = null, editable = () => true } = {}) {
		const table = make("table", { class: "lf-matrix", role: "grid", "aria-label": label, style: size ? `--lf-cell: ${size}` : false });
		let [cells, current, shownValues] = [[], [0, 0], values];
		const focusable = Boolean(change || select);
		const choose = (i, j, focus = true) => {
			cells[current[0]]?.[current[1]]?.setAttribute("tabindex", -1);
			current = [i, j];
			cells[i][j].setAttribute("tabindex", 0);
			if (focus) cells[i][j].focus({ preventScroll: true });
			select?.(i, j);
		};
		const edit = (i, j, start = null) => {
			const cell = cells[i][j];
			if (!change || !editable(i, j) || cell.querySelector("input")) return;
			const input = make("input", { type: "text", inputmode: "text", "aria-label": `${label}, row ${i}, column ${j}` });
			input.value = start ?? String(shownValues[i][j]);
			let over = false;
			const end = (keep) => {
				if (over) return;
				over = true;
				const value = Number(input.value.trim().replace("−", "-").replace(",", "."));
				input.remove();
				cell.firstChild.hidden = false;
				if (keep && input.value.trim() !== "" && Number.isFinite(value)) change(i, j, value);
			};
			input.addEventListener("keydown", (event) => {
				event.stopPropagation();
				if (event.key === "Enter" || event.key === "Escape") { end(event.key === "Enter"); cell.focus(); event.preventDefault(); }
				if (event.key === "Tab") end(true);
			});
			input.addEventListener("blur", () => end(true));
			cell.firstChild.hidden = true;
			cell.append(input);
			input.focus({ preventScroll: true });
			if (start === null) input.select();
		};
		const rebuild = () => {
			table.replaceChildren(make("tbody", {}, shownValues.map((line, i) => make("tr", { role: "row" }, line.map((_, j) => {
				const cell = make("td", { role: "gridcell" }, make("span"));
				if (focusable) {
					cell.tabIndex = i === current[0] && j === current[1] ? 0 : -1;
					let again = false; // a click or a tap on a cell that has the focus edits it: phones have no keys to start with
					cell.addEventListener("pointerdown", () => { again = document.activeElement === cell; });
					cell.addEventListener("click", () => { choose(i, j); if (again) edit(i, j); });
					cell.addEventListener("dblclick", () => edit(i, j));
				}
				return cell;
			})))));
			cells = [...table.rows].map((line) => [...line.cells]);
			if (!cells[current[0]]?.[current[1]]) { current = [0, 0]; if (focusable && cells[0]?.[0]) cells[0][0].tabIndex = 0; }
		};
		table.addEventListener("keydown", (event) => {
			const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
			const [i, j] = current;
			if (move) {
				event.preventDefault();
				const to = [Math.min(Math.max(i + move[0], 0), cells.length - 1), Math.min(Math.max(j + move[1], 0), cells[0].length - 1)];
				choose(...to);
			} else if (change && (event.key === "Enter" || event.key === "F2")) {
				event.preventDefault();
				edit(i, j);
			} else if (change && /^[-−\d.,]$/.test(event.key) && !event.ctrlKey && !event.metaKey) {
				event.preventDefault();
				edit(i, j, event.key);
			}
		});
		const show = (next, { frames = [], limit = null, text = null } = {}) => {
			const anew = next.length !== cells.length || next[0]?.length !== cells[0]?.length;
			shownValues = next;
			if (anew) rebuild();
			const most = limit ?? largest(next);
			const classes = new Map();
			for (const [i, j, name = "lf-frame"] of frames) classes.set(`${i},${j}`, `${classes.get(`${i},${j}`) ?? ""} ${name}`);
			next.forEach((line, i) => line.forEach((value, j) => {
				const cell = cells[i][j];
				const next = [text ? text(value, i, j) : number(value, digits), tint(value, most), classes.get(`${i},${j}`)?.trim() ?? ""];
				const last = cell.shown ?? [];
				// To write what stands there already would cost most of a frame, where there are many cells.
				if (next[0] !== last[0]) {
					cell.firstChild.textContent = next[0];
					cell.style.fontSize = next[0].length > 4 ? "var(--lf-long, 0.78rem)" : ""; // a long number has room, too
				}
				if (next[1] !== last[1]) cell.style.background = next[1];
				if (next[2] !== last[2]) cell.className = next[2];
				cell.shown = next;
			}));
		};
		rebuild();
		show(values);
		return { element: table, show, choose, edit, get current() { return current; } };
	}

	/** A matrix with its name above. */
	named(title, matrix, note = "") {
		return make("div", { class: "lf-named" }, make("p", { class: "lf-title" }, title), matrix.element ?? matrix,
			note ? make("p", { class: "lf-note" }, note) : "");
	}

	/** A drawing of `width` by `height` units that scales with the page. `label` describes it. */
	svg(width, height, label) {
		return draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "lf-svg" });
	}

	/** A chart with axes. `lines(list)` draws [{points: [[x, y], ...], class: "lf-line-1", label}]; points that are not
	    finite are left out; `x` and `y` are [from, to]; `log` makes the y axis logarithmic. */
	chart(label, { x, y, xlabel = "", ylabel = "", width = 360, height = 240, log = false }) {
		const [left, right, top, bottom] = [46, 10, 10, 36];
		const svg = this.svg(width, height, label);
		svg.classList.add("lf-chart");
		const axes = draw("g", { class: "lf-axes" });
		const content = draw("g");
		svg.append(axes, content);
		const up = (value) => (log ? Math.log10(Math.max(value, 1e-300)) : value);
		const place = (px, py) => [
			left + (px - x[0]) / (x[1] - x[0]) * (width - left - right),
			height - bottom - (up(py) - up(y[0])) / (up(y[1]) - up(y[0])) * (height - top - bottom),
		];
		const ticks = (from, to) => {
			const raw = (to - from) / 4;
			const unit = 10 ** Math.floor(Math.log10(raw));
			const step = [1, 2, 5, 10].map((k) => k * unit).find((k) => k >= raw);
			const list = [];
			for (let k = Math.ceil(from / step); k * step <= to + 1e-9 * step; k++) list.push(k * step);
			return list;
		};
		const frame = () => {
			axes.replaceChildren();
			const [x0, y0] = [left, height - bottom];
			axes.append(draw("path", { d: `M ${x0} ${top} V ${y0} H ${width - right}` }));
			for (const value of ticks(...x)) {
				const [px] = place(value, y[0]);
				axes.append(draw("path", { d: `M ${px} ${y0} v 4` }), draw("text", { x: px, y: y0 + 16, "text-anchor": "middle" }, number(value)));
			}
			const marks = log ? ticks(up(y[0]), up(y[1])).filter(Number.isInteger).map((k) => 10 ** k) : ticks(...y);
			for (const value of marks) {
				const [, py] = place(x[0], value);
				axes.append(draw("path", { d: `M ${x0} ${py} h -4` }), draw("text", { x: x0 - 6, y: py + 4, "text-anchor": "end" }, number(value).replace(".0e", "e")));
			}
			axes.append(draw("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xlabel),
				draw("text", { transform: `translate(11 ${(top + y0) / 2}) rotate(-90)`, "text-anchor": "middle" }, ylabel));
		};
		frame();
		return {
			element: svg, content, place,
			/** The data coordinates of a pointer event. */
			at(event) {
				const box = svg.getBoundingClientRect();
				const px = (event.clientX - box.left) / box.width * width;
				const py = (event.clientY - box.top) / box.height * height;
				const share = (height - bottom - py) / (height - top - bottom);
				const value = up(y[0]) + share * (up(y[1]) - up(y[0]));
				return [x[0] + (px - left) / (width - left - right) * (x[1] - x[0]), log ? 10 ** value : value];
			},
			range(nextX, nextY) { [x, y] = [nextX ?? x, nextY ?? y]; frame(); },
			lines(list) {
				content.replaceChildren(...list.flatMap(({ points, class: name = "lf-line-1", label: text }) => {
					let pen = "M";
					const path = points.map(([px, py]) => {
						if (!Number.isFinite(px) || !Number.isFinite(py)) { pen = "M"; return ""; }
						const at = place(px, Math.min(Math.max(py, y[0] - 9 * (y[1] - y[0])), y[1] + 9 * (y[1] - y[0]))).map((k) => +k.toFixed(2)).join(" ");
						const part = `${pen} ${at}`;
						pen = "L";
						return part;
					}).join(" ");
					const last = [...points].reverse().find(([, py]) => Number.isFinite(py) && py >= y[0] && py <= y[1]);
					const [tx, ty] = last ? place(...last) : [0, 0];
					return [draw("path", { d: path, class: `lf-line ${name}` }),
						...(text && last ? [draw("text", { x: Math.min(tx, width - right) - 4, y: ty - 5, "text-anchor": "end", class: `lf-label ${name}` }, text)] : [])];
				}));
			},
		};
	}

	/** A picture of one channel, (H, W): ink where the numbers are large; with `signed`, hues as in a matrix. */
	picture(label, { height, width, scale = 6, signed = false }) {
		const canvas = make("canvas", { width, height, role: "img", "aria-label": label, class: `lf-picture${signed ? " lf-signed" : ""}`, style: `width: ${scale * width}px` });
		const pen = canvas.getContext("2d");
		return {
			element: canvas,
			/** `values`: the numbers, row by row; `limit`: the size that is drawn strongest. */
			show(values, limit = null) {
				const most = limit ?? (largest(Array.from(values)) || 1);
				const image = pen.createImageData(width, height);
				const bytes = image.data;
				for (let k = 0, at = 0; k < width * height; k++, at += 4) {
					const value = values[k];
					const share = Math.min(Math.abs(value) / most, 1);
					if (signed) {
						bytes[at] = value < 0 ? 217 : 117;
						bytes[at + 1] = value < 0 ? 95 : 80;
						bytes[at + 2] = value < 0 ? 2 : 180;
					}
					bytes[at + 3] = signed || value > 0 ? Math.round(255 * share) : 0;
				}
				pen.putImageData(image, 0, 0);
			},
		};
	}

	/** A legend for the tints of matrices and signed pictures. */
	scale() {
		return make("p", { class: "lf-scale" }, make("span", { class: "lf-swatch lf-negative" }, "−"), " negative, ",
			make("span", { class: "lf-swatch lf-positive" }, "+"), " positive; the stronger, the larger");
	}
}

function start(element) {
	const builder = builders[element.dataset.figure];
	if (!builder || element.dataset.started) return;
	element.dataset.started = "yes";
	const script = element.querySelector('script[type="application/json"]');
	const figure = new Figure(element, script ? JSON.parse(script.textContent) : {});
	element.liveFigure = figure;
	builder(figure, figure.data);
}

/** Say how the figures of that name are built; those in the page are built at once. */
function define(name, builder) {
	builders[name] = builder;
	document.querySelectorAll(`figure.live-figure[data-figure="${name}"]`).forEach(start);
}

return { block, define, draw, fill, largest, make, number, tint };
})();
