/* Chapter 14: what every layer makes of a digit, every gradient down to the pixels, and an adversarial step. */

liveFigure.define("looking-inside", (figure, data) => {
	"use strict";
	const { fill, make, number } = liveFigure;
	const [FIELD, MIDDLE, PIXELS] = [28, 13.5, 784];
	const network = cnnlib.Network.fromJSON(data.network);
	const scores = network.slice(0, -1); // the same layers, without the softmax
	const digits = data.digits.map((text) => Float32Array.from(text.match(/../g), (pair) => parseInt(pair, 16) / 255));
	const noise = (() => { const rng = cnnlib.default_rng(1); return Float32Array.from({ length: PIXELS }, () => rng.normal()); })();

	let image = digits[data.start].slice(); // before turn, shift and noise
	let label = data.labels[data.start]; // null of a drawing
	let [x, outputs, gradients] = [null, [], []];
	let chosen = null; // a value of layer `index`: {index, map, row, column}

	// Controls

	const names = Object.fromEntries(data.labels.map((digit, n) => [n, `a ${digit}${data.labels.indexOf(digit) < n ? ", another" : ""}`]));
	const digit = figure.select("digit", { ...names, drawn: "your drawing" }, data.start, (value) => {
		if (value === "drawn") clear();
		else {
			[image, label] = [digits[value].slice(), data.labels[value]];
			target.value = String(label);
			compute();
		}
	});
	const target = figure.select("score of class", Object.fromEntries(Array.from({ length: 10 }, (_, k) => [k, k])), label, () => compute());
	const soon = figure.onceAFrame(compute);
	const turn = figure.slider("turn (degrees)", { min: -90, max: 90, step: 5, value: 0 }, soon);
	const shift = figure.slider("shift (pixels)", { min: -8, max: 8, step: 1, value: 0 }, soon);
	const rough = figure.slider("noise", { min: 0, max: 1, step: 0.05, value: 0 }, soon);
	const epsilon = figure.slider("ε", { min: 0, max: 0.4, step: 0.01, value: 0 }, soon);
	const sliders = [turn, shift, rough, epsilon];
	figure.row(digit.element, target.element, figure.button("undo all changes", () => {
		for (const slider of sliders) slider.value = 0;
		compute();
	}), figure.button("empty, to draw", clear));
	for (const { element } of sliders) element.firstChild.style.minWidth = "7rem";
	for (const pair of [[turn, shift], [rough, epsilon]]) figure.row(...pair.map(({ element }) => fill(element, { style: "flex: 0 1 20rem" })));

	function clear() {
		[image, label] = [new Float32Array(PIXELS), null];
		for (const slider of sliders) slider.value = 0;
		digit.value = "drawn";
		compute();
	}

	// The digit, the gradient by its pixels, the adversarial image, the probabilities

	const big = (title, text, signed) => {
		const picture = figure.picture(text, { height: FIELD, width: FIELD, scale: 5, signed });
		fill(picture.element, { tabindex: 0, role: "application", style: "width: 100%; touch-action: none" });
		const most = make("p", { class: "lf-note", style: "min-height: 1.4em" });
		const frame = make("div", { style: "position: relative" }, picture.element);
		return { picture, most, frame, element: make("div", { style: "flex: 1 1 95px; max-width: 148px" }, make("p", { class: "lf-title" }, title), frame, most) };
	};
	const input = big("x", "The digit. Draw on it; or move with the arrow keys and put ink with the space bar.", false);
	const pixels = big("∂score/∂x", "The gradient of the score by every pixel. Choose a pixel to check it.", true);
	const attacked = big("x + ε sign", "The digit after the adversarial step.", false);
	fill(attacked.picture.element, { role: "img" }).removeAttribute("tabindex");
	const rows = Array.from({ length: 10 }, (_, k) => {
		const cells = [0, 1].map(() => make("td", { style: "border: 0; white-space: nowrap; font-size: 0.875rem; line-height: 1.25; padding: 0 0.4rem; text-align: right; min-width: 4.5rem" }));
		return { cells, element: make("tr", { style: "background: none" }, make("th", { scope: "row", style: "border: 0; font-size: 0.875rem; line-height: 1.25; padding: 0 0.4rem" }, k), ...cells) };
	});
	const heading = (text) => make("th", { scope: "col", style: "border: 0; font-size: 0.875rem; padding: 0 0.4rem; text-align: right" }, text);
	const table = make("table", { class: "lf-p", style: "border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0; width: auto" },
		make("thead", {}, make("tr", { style: "background: none" }, heading("class"), heading("p of x"), heading("p after ε"))),
		make("tbody", {}, rows.map(({ element }) => element)));
	figure.add(make("div", { style: "align-items: flex-start; display: flex; flex-wrap: wrap; gap: 0.6rem" }, input.element, pixels.element, attacked.element, table));
	const answer = figure.add(make("p", { class: "lf-answer", style: "min-height: 2.8em" }));

	// Every layer: its values and, beside them, their gradients

	const product = (sizes) => sizes.reduce((a, b) => a * b, 1);
	const largest = (values) => {
		let most = 0;
		for (let k = 0; k < values.length; k++) most = Math.max(most, Math.abs(values[k]));
		return most;
	};
	const LAYOUT = { 6: 6, 16: 8 };
	const layers = network.shapes.slice(0, -1).map((shape, index) => {
		const name = network.layers[index].constructor.name;
		if (name === "Flatten") return null;
		const [C, H, W] = shape.length === 3 ? shape : [1, Math.ceil(shape[0] / 60), Math.min(shape[0], 60)];
		const columns = LAYOUT[C] ?? 1;
		const [height, width] = [Math.ceil(C / columns) * (H + 1) - 1, columns * (W + 1) - 1];
		const at = (map, row, column) => (Math.floor(map / columns) * (H + 1) + row) * width + (map % columns) * (W + 1) + column;
		const places = Int32Array.from({ length: product(shape) }, (_, k) => at(Math.floor(k / (H * W)), Math.floor(k / W) % H, k % W));
		const sheet = new Float32Array(height * width).fill(NaN); // between the maps there is nothing
		const spread = (values) => {
			for (let k = 0; k < values.length; k++) sheet[places[k]] = values[k];
			return sheet;
		};
		const layer = { index, name, C, H, W, columns, height, width, spread };
		layer.values = sheetOf(layer, `values of layer ${index}, ${name}; move with the arrow keys`, name !== "ReLU" && name !== "MaxPooling");
		layer.slopes = sheetOf(layer, `gradient of layer ${index}, ${name}; move with the arrow keys`, true);
		return layer;
	});
	figure.add(make("div", { style: "align-items: end; display: grid; gap: 0.15rem 0.6rem; grid-template-columns: 1fr 1fr" },
		make("p", { class: "lf-title" }, "the layers' values"), make("p", { class: "lf-title" }, "∂score/∂value"),
		layers.filter(Boolean).flatMap(({ values, slopes }) => [values.element, slopes.element])));
	figure.add(figure.scale());
	const made = figure.add(make("div", { style: "display: flex; flex-direction: column; gap: 0.4rem; min-height: 15rem" }));
	const check = figure.check();
	figure.add(check.element);

	function sheetOf(layer, text, signed) {
		const picture = figure.picture(text, { height: layer.height, width: layer.width, signed });
		fill(picture.element, { tabindex: 0, role: "application", style: `width: 100%; min-height: ${layer.height < 3 ? 12 : 0}px; display: block` });
		const frame = make("div", { style: "position: relative" }, picture.element);
		const note = make("p", { class: "lf-note", style: "font-size: 0.75rem" });
		const choose = (y, x) => {
			const [row, column] = [Math.min(y % (layer.H + 1), layer.H - 1), Math.min(x % (layer.W + 1), layer.W - 1)];
			const map = Math.floor(y / (layer.H + 1)) * layer.columns + Math.floor(x / (layer.W + 1));
			if (map < layer.C && (map * layer.H + row) * layer.W + column < outputs[layer.index].data.length) {
				chosen = { index: layer.index, map, row, column };
				explain();
			}
		};
		picture.element.addEventListener("click", (event) => {
			const box = picture.element.getBoundingClientRect();
			choose(Math.floor((event.clientY - box.top) / box.height * layer.height), Math.floor((event.clientX - box.left) / box.width * layer.width));
		});
		picture.element.addEventListener("keydown", (event) => {
			const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
			if (!move) return;
			event.preventDefault();
			if (chosen.index !== layer.index) { choose(0, 0); return; }
			const y = Math.floor(chosen.map / layer.columns) * (layer.H + 1) + chosen.row;
			const x = chosen.map % layer.columns * (layer.W + 1) + chosen.column;
			const over = (from, by, size, end) => { // over the gap to the next map
				const to = from + by * ((from + by) % (size + 1) === size ? 2 : 1);
				return to < 0 || to >= end ? from : to;
			};
			choose(over(y, move[0], layer.H, layer.height), over(x, move[1], layer.W, layer.width));
		});
		return { picture, frame, note, element: make("div", { style: "min-width: 0" }, note, frame) };
	}

	// Numbers

	/* The values of an image between its pixels, zero outside of it: `bilinear_sample` of cnnlib. */
	function sample(from, place) {
		const side = FIELD + 2;
		const padded = new Float32Array(side * side + side + 2);
		for (let r = 0; r < FIELD; r++) padded.set(from.subarray(r * FIELD, (r + 1) * FIELD), (r + 1) * side + 1);
		return new Float32Array(PIXELS).map((_, k) => {
			const [row, column] = place(Math.floor(k / FIELD), k % FIELD).map((value) => Math.min(Math.max(value + 1, 0), FIELD + 0.999));
			const [top, left] = [Math.floor(row), Math.floor(column)];
			const [down, right, corner] = [row - top, column - left, top * side + left];
			const upper = padded[corner] * (1 - right) + padded[corner + 1] * right;
			const lower = padded[corner + side] * (1 - right) + padded[corner + side + 1] * right;
			return upper * (1 - down) + lower * down;
		});
	}

	function changed() {
		const angle = turn.value * Math.PI / 180;
		const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
		const turned = turn.value ? sample(image, (r, s) => [cos * (r - MIDDLE) + sin * (s - MIDDLE) + MIDDLE, cos * (s - MIDDLE) - sin * (r - MIDDLE) + MIDDLE]) : image;
		const moved = shift.value ? sample(turned, (r, s) => [r - shift.value, s - shift.value]) : turned;
		return moved.map((value, k) => Math.min(Math.max(value + rough.value * noise[k], 0), 1));
	}

	const batch = (values) => cnnlib.array(values).reshape(1, 1, FIELD, FIELD);
	const one = (k) => cnnlib.one_hot([k], 10, "float32");

	/* The gradient by the values of every layer, the input's first, from that of the scores. */
	function backward(dz) {
		const found = [dz];
		for (const layer of [...scores.layers].reverse()) found.unshift(layer.backward(found[0]));
		return found;
	}

	function compute() {
		x = changed();
		const before = figure.state;
		const same = before?.target === target.value && x.every((value, k) => value === before.x[k]); // only ε has changed
		// All values, and all gradients of the chosen score
		outputs = [];
		network.layers.reduce((values, layer) => (outputs[outputs.length] = layer.forward(values)), batch(x));
		const p = outputs.at(-1).data.slice();
		const best = cnnlib.argmax(p);
		if (!same) gradients = backward(one(+target.value));
		// The adversarial step: up the loss
		const truth = label ?? best; // of a drawing: what the network reads
		let [step, after, reads] = [x, p, best];
		if (epsilon.value) {
			// p - t in float64: of a sure answer, float32 would leave nothing but rounding errors
			const dz = cnnlib.SoftmaxCrossEntropy().gradient(outputs.at(-2).astype("float64"), one(truth));
			const dx = backward(dz)[0].data;
			step = x.map((value, k) => Math.min(Math.max(value + epsilon.value * Math.sign(dx[k]), 0), 1));
			after = network.forward(batch(step)).data;
			reads = cnnlib.argmax(after);
		}
		figure.state = { x, p, after, step, outputs, gradients, target: target.value }; // for tests, and for the curious

		input.picture.show(x, 1);
		attacked.picture.show(step, 1);
		const steepest = largest(gradients[0].data);
		pixels.picture.show(gradients[0].data, steepest || 1);
		pixels.most.textContent = `up to ±${number(steepest)}`;
		attacked.most.textContent = `ε = ${number(epsilon.value)}`;
		const bar = (share, hue) => `linear-gradient(to left, color-mix(in srgb, ${hue} 45%, transparent) ${100 * share}%, transparent 0)`;
		const percent = (value) => `${(100 * value).toFixed(value < 0.0995 ? 2 : 1)} %`;
		rows.forEach(({ cells, element }, k) => {
			[p, after].forEach((all, side) => {
				cells[side].textContent = percent(all[k]);
				cells[side].style.background = bar(all[k], side ? "var(--lf-negative)" : "var(--lf-positive)");
				cells[side].style.fontWeight = k === (side ? reads : best) ? 700 : 400;
			});
			element.firstChild.style.textDecoration = k === label ? "underline" : "none";
		});
		answer.textContent = `${label === null ? "Your drawing" : `A ${label}`}, read as ${best}, ${percent(p[best])} sure` +
			(epsilon.value ? `. After a step of ε = ${number(epsilon.value)} that ${label === null ? "makes this less likely" : "raises its loss"}: read as ${reads}, ${percent(after[reads])} sure.` : ".");
		figure.say(answer.textContent);
		if (same) return;
		for (const layer of layers) {
			if (!layer) continue;
			for (const [sheet, values, text] of [[layer.values, outputs[layer.index].data, `${layer.name} ${network.shapes[layer.index].join("×")}`], [layer.slopes, gradients[layer.index + 1].data, ""]]) {
				const most = largest(values);
				sheet.picture.show(layer.spread(values), most || 1);
				sheet.note.textContent = `${text ? `${text}, ` : ""}up to ${text && ["ReLU", "MaxPooling"].includes(layer.name) ? "" : "±"}${number(most)}`;
			}
		}
		if (!chosen) { // where the first layer matters most
			const k = cnnlib.argmax(gradients[1].data.map(Math.abs));
			chosen = { index: 0, map: Math.floor(k / PIXELS), row: Math.floor(k % PIXELS / FIELD), column: k % FIELD };
		}
		explain(false);
	}

	// What made a value

	const marks = ["values", "slopes"].map(() => make("div", { style: "border: 2px solid var(--lf-accent); box-sizing: content-box; margin: -2px; pointer-events: none; position: absolute" }));

	function explain(speak = true) {
		const layer = layers[chosen.index];
		const { map, row, column } = chosen;
		const own = network.layers[layer.index];
		const place = (map * layer.H + row) * layer.W + column;
		const value = outputs[layer.index].data[place];
		const from = layer.index ? outputs[layer.index - 1] : batch(x);
		const slope = gradients[layer.index + 1].data[place];
		marks.forEach((mark, k) => {
			(k ? layer.slopes : layer.values).frame.append(mark);
			const [y, left] = [Math.floor(map / layer.columns) * (layer.H + 1) + row, map % layer.columns * (layer.W + 1) + column];
			Object.assign(mark.style, { top: `${100 * y / layer.height}%`, left: `${100 * left / layer.width}%`, width: `${100 / layer.width}%`, height: `${100 / layer.height}%` });
		});
		const parts = [];
		let [text, sum] = ["", value];
		const name = layer.H > 1 && layer.C > 1 ? `y[${map}, ${row}, ${column}]` : `y[${place}]`;
		if (layer.name === "Convolutional") {
			const { kernel_size: K, channels } = own;
			const [[above], [left]] = own.pad_width(from.shape[2], from.shape[3]);
			const sums = [];
			for (let c = 0; c < channels; c++) {
				const grid = (f) => Array.from({ length: K }, (_, i) => Array.from({ length: K }, (_, j) => f(i, j)));
				const window = grid((i, j) => {
					const [r, s] = [row + i - above, column + j - left];
					return r < 0 || s < 0 || r >= from.shape[2] || s >= from.shape[3] ? 0 : from.data[(c * from.shape[2] + r) * from.shape[3] + s];
				});
				const kernel = grid((i, j) => own.W.data[((map * channels + c) * K + i) * K + j]);
				sums.push(window.flat().reduce((total, entry, k) => total + entry * kernel.flat()[k], 0));
				const show = (title, values, signed) => {
					const picture = figure.picture(`${title}: ${values.map((line) => line.map((v) => number(v, 2)).join(" ")).join("; ")}`, { height: K, width: K, scale: channels > 1 ? 6 : 14, signed });
					picture.element.title = picture.element.getAttribute("aria-label");
					picture.show(values.flat());
					return picture.element;
				};
				parts.push(make("div", { style: "align-items: center; display: flex; flex-wrap: wrap; gap: 0.25rem" }, show(`window of channel ${c}`, window, false), " · ", show(`kernel of channel ${c}`, kernel, true), ` = ${number(sums[c])}`));
			}
			const bias = own.b.data[map];
			sum = sums.reduce((a, b) => a + b, bias);
			text = `${name} = ${sums.map((part) => number(part)).join(" + ")} + b = ${number(sum)}, with b = ${number(bias)}`;
		} else if (layer.name === "ReLU") {
			sum = Math.max(from.data[place], 0);
			text = `${name} = max(${number(from.data[place])}, 0) = ${number(sum)}`;
		} else if (layer.name === "MaxPooling") {
			const [H, W] = from.shape.slice(2);
			const window = [0, 1].map((i) => [0, 1].map((j) => from.data[(map * H + 2 * row + i) * W + 2 * column + j]));
			const matrix = figure.matrix("the window", window);
			matrix.show(window, { frames: [0, 1].flatMap((i) => [0, 1].map((j) => [i, j])).filter(([i, j]) => window[i][j] === value).slice(0, 1) });
			parts.push(matrix.element);
			sum = Math.max(...window.flat());
			text = `${name} = the largest of the window = ${number(sum)}`;
		} else if (layer.name === "Dense") {
			const products = [...from.data].map((entry, d) => [entry * own.W.data[d * own.outputs + place], d, entry]);
			sum = products.reduce((total, [product]) => total + product, own.b.data[place]);
			products.sort(([a], [b]) => Math.abs(b) - Math.abs(a));
			parts.push(...products.slice(0, 5).map(([product, d, entry]) => make("span", { class: "lf-note" }, `x[${d}] · W[${d}, ${place}] = ${number(entry)} · ${number(own.W.data[d * own.outputs + place])} = ${number(product)}`)));
			const rest = sum - own.b.data[place] - products.slice(0, 5).reduce((total, [product]) => total + product, 0);
			text = `${name} = the five largest products (below) + the other ${products.length - 5}, ${number(rest)}, + b, ${number(own.b.data[place])} = ${number(sum)}`;
		}
		const holds = Math.abs(sum - value) <= 1e-4 * Math.max(1, Math.abs(value));
		made.replaceChildren(make("p", { class: "lf-title" }, `What made this value of layer ${layer.index}, ${layer.name}`),
			make("p", { class: "lf-made" }, text), make("div", { class: "lf-row" }, ...parts), make("p", {}, `∂score/∂${name} = ${number(slope)}`));
		check.show(holds, holds ? "computed again by hand: the same as the layer's" : `the layer has ${number(value)}`);
		if (speak) figure.say(`${text}. Its gradient: ${number(slope)}`);
	}

	// A pixel of the gradient, beside a central difference in float64, with noise, so that no two pixels are equal

	let exact = null;
	function compare(row, column) {
		exact ??= cnnlib.Network.fromJSON({ ...data.network, dtype: "float64" }).slice(0, -1);
		const values = cnnlib.array(Float64Array.from(x, (value, k) => value + 0.001 * noise[k])).reshape(1, 1, FIELD, FIELD);
		exact.forward(values);
		const at = row * FIELD + column;
		const slope = exact.backward(cnnlib.one_hot([+target.value], 10, "float64")).data[at];
		const [difference] = cnnlib.numerical_gradient(() => exact.forward(values).data[+target.value], values, [at], 1e-6);
		const holds = Math.abs(difference - slope) <= 1e-6 * Math.max(1, Math.abs(slope));
		const text = `pixel (${row}, ${column}): backward gives ${number(slope, 5)}, a central difference ${number(difference, 5)}`;
		check.show(holds, text);
		figure.say(text);
	}

	const cursor = make("div", { style: `border: 2px solid var(--lf-accent); height: ${100 / FIELD}%; margin: -2px; pointer-events: none; position: absolute; width: ${100 / FIELD}%` });
	let at = [14, 14];
	const point = (frame, row, column) => {
		at = [row, column].map((value) => Math.min(Math.max(value, 0), FIELD - 1));
		frame.append(cursor);
		Object.assign(cursor.style, { top: `${100 * at[0] / FIELD}%`, left: `${100 * at[1] / FIELD}%` });
	};
	const place = (event) => {
		const box = event.currentTarget.getBoundingClientRect();
		return [(event.clientY - box.top) / box.height * FIELD - 0.5, (event.clientX - box.left) / box.width * FIELD - 0.5];
	};
	const keys = (part, act) => part.picture.element.addEventListener("keydown", (event) => {
		const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], " ": [0, 0], Enter: [0, 0] }[event.key];
		if (!move) return;
		event.preventDefault();
		point(part.frame, at[0] + move[0], at[1] + move[1]);
		if (part === pixels || event.key === " ") act(...at);
	});
	pixels.picture.element.addEventListener("click", (event) => { point(pixels.frame, ...place(event).map(Math.round)); compare(...at); });
	keys(pixels, compare);

	/* Ink at a point between the pixels, as a pen of 2.5 pixels has it: `draw_segments` of cnnlib. */
	function ink(row, column) {
		if (sliders.some((slider) => slider.value)) { // what is seen is what is drawn on
			image = x.slice();
			for (const slider of [turn, shift, rough]) slider.value = 0;
		}
		for (let k = 0; k < PIXELS; k++) {
			const distance = Math.hypot(Math.floor(k / FIELD) - row, k % FIELD - column);
			image[k] = Math.max(image[k], Math.min(Math.max(1.25 - distance + 0.5, 0), 1));
		}
		soon();
	}
	let drawing = null;
	input.picture.element.addEventListener("pointerdown", (event) => { drawing = place(event); ink(...drawing); });
	input.picture.element.addEventListener("pointermove", (event) => {
		if (!drawing) return;
		const [from, to] = [drawing, place(event)];
		const count = Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])) || 1;
		for (let k = 1; k <= count; k++) ink(...from.map((value, axis) => value + (to[axis] - value) * k / count));
		drawing = to;
	});
	for (const end of ["pointerup", "pointerleave", "pointercancel"]) input.picture.element.addEventListener(end, () => { drawing = null; });
	keys(input, ink);

	figure.choose = (next) => { chosen = next; explain(); }; // for tests, and for the curious
	compute();
});
