/* Chapter 6: the reader types a gradient; the figure finds the first wrong number, and the mistake that gives it. */

liveFigure.define("your-gradient", (figure, data) => {
	"use strict";
	const { make, number } = liveFigure;
	const { array } = cnnlib;
	const shown = (value) => number(value, 6);
	const range = (count) => Array.from({ length: count }, (_, k) => k);

	// What is right, and what the known mistakes give: {dx: of image 0, dW, db}, each as rows of numbers

	const turned = (W) => [...W].reverse().map((line) => [...line].reverse());
	const swapped = (W) => W[0].map((_, j) => W.map((line) => line[j]));
	const times = (factor, gradients) => Object.fromEntries(Object.entries(gradients).map(([name, rows]) => [name, rows.map((line) => line.map((value) => factor * value))]));
	const outside = (rows, above, below) => {
		const width = rows[0].length + above + below;
		const zeros = (count) => range(count).map(() => Array(width).fill(0));
		return [...zeros(above), ...rows.map((line) => [...Array(above).fill(0), ...line, ...Array(below).fill(0)]), ...zeros(below)];
	};

	/** By the engine: x and dy hold two images of one channel. */
	function backward({ x, W, dy, stride, padding }) {
		const layer = cnnlib.Convolutional(1, 1, W.length, { stride, padding, initializer: "zeros", dtype: "float64" });
		layer.W = array([[W]], "float64");
		layer.forward(x.map((image) => [image]));
		const dx = layer.backward(array(dy.map((image) => [image]), "float64"));
		return { dx: dx.toNested()[0][0], dW: layer.dW.toNested()[0][0], db: [layer.db.toNested()] };
	}

	const only = (dy, keep) => dy.map((image, n) => image.map((line, r) => line.map((value, s) => (keep(n, r, s) ? value : 0))));
	const FAULTS = {
		flip: { name: "Flipped kernel", why: {
			dx: "The kernel is turned round. An output hands its dy to the patch times W as it is; only a pixel sees W flipped.",
			dW: "These are the right numbers, turned round: W[0, 0] belongs to the first pixel of each patch.",
		}, give: (e) => ({ dx: backward({ ...e, W: turned(e.W) }).dx, dW: turned(backward(e).dW) }) },
		overwrite: { name: "= for +=", why: {
			dx: "A pixel of several patches keeps one share only: the one that was written last. Their shares add up.",
			dW: "Only the last output's share is left. A weight collects from all outputs.",
			db: "Only the last dy is left. The bias is in all outputs.",
		}, give: (e) => ({ ...backward({ ...e, dy: only(e.dy, (n, r, s) => n === e.dy.length - 1 && r === e.dy[0].length - 1 && s === e.dy[0][0].length - 1) }), dx: overwritten(e) }) },
		mean: { name: "A second 1/N", why: {
			dx: "All is divided by the number of images. The loss has done that already, and dy contains it.",
			dW: "All is divided by the number of images. The loss has done that already: a layer only sums.",
			db: "The sum is divided by the number of images. The loss has done that already: a layer only sums.",
		}, give: (e) => times(1 / e.x.length, backward(e)) },
		positions: { name: "A mean over all outputs", why: {
			dW: "The sum over images and positions is divided by their number. It is a sum.",
			db: "This is the mean of dy. The bias is in all outputs, and their paths add up.",
		}, give: (e) => { const { dW, db } = times(1 / e.dy.flat(2).length, backward(e)); return { dW, db }; } },
		stride: { name: "Stride forgotten", why: {
			dx: "The patches lie side by side, as with stride 1. The patch of dy[r, s] begins at row r · stride, column s · stride.",
			dW: "The patches lie side by side, as with stride 1. The patch of dy[r, s] begins at row r · stride, column s · stride.",
		}, give: (e) => {
			if (e.stride === 1) return {};
			const [h, w] = [e.x[0].length, e.x[0][0].length].map((size) => size + 2 * e.padding - e.W.length + 1);
			const { dx, dW } = backward({ ...e, stride: 1, dy: e.dy.map((image) => range(h).map((r) => range(w).map((s) => image[r]?.[s] ?? 0))) });
			return { dx, dW };
		} },
		last: { name: "Not summed over the batch", why: {
			dW: "This is the share of the last image alone. Both images use the same kernel.",
			db: "This is the sum over the last image alone. Both images have the same bias.",
		}, give: (e) => { const { dW, db } = backward({ ...e, dy: only(e.dy, (n) => n === e.dy.length - 1) }); return { dW, db }; } },
		first: { name: "Not summed over the batch", why: {
			dW: "This is the share of the first image alone. Both images use the same kernel.",
			db: "This is the sum over the first image alone. Both images have the same bias.",
		}, give: (e) => { const { dW, db } = backward({ ...e, dy: only(e.dy, (n) => n === 0) }); return { dW, db }; } },
		padding: { name: "Padding forgotten", why: {
			dx: "These numbers belong to the padded image, from its corner on: dx begins behind the zeros.",
			dW: "The patches begin at the corner of x. They begin at the corner of the padded image.",
		}, give: (e) => {
			if (!e.padding) return {};
			const { dx } = backward({ ...e, x: e.x.map((image) => outside(image, e.padding, e.padding)), padding: 0 });
			const { dW } = backward({ ...e, x: e.x.map((image) => outside(image, 0, 2 * e.padding)), padding: 0 });
			return { dx: dx.slice(0, e.x[0].length).map((line) => line.slice(0, e.x[0][0].length)), dW };
		} },
		swap: { name: "Rows and columns swapped", why: {
			dx: "W is transposed: its first index is the row.", dW: "This is dW transposed: its first index is the row.",
		}, give: (e) => ({ dx: backward({ ...e, W: swapped(e.W) }).dx, dW: swapped(backward(e).dW) }) },
		local: { name: "dy left out", why: {
			dx: "This is how the sum of all outputs depends on x. Each output counts dy times.",
			dW: "This is how the sum of all outputs depends on W. Each output counts dy times.",
			db: "This is the number of outputs. Each of them counts dy times.",
		}, give: (e) => backward({ ...e, dy: e.dy.map((image) => image.map((line) => line.map(() => 1))) }) },
		sign: { name: "Sign", why: {
			dx: "The right number with the wrong sign.", dW: "The right number with the wrong sign.", db: "The right number with the wrong sign.",
		}, give: (e) => times(-1, backward(e)) },
	};

	/** dx of image 0 by a col2im with = : of the outputs that reach a pixel, the one that is written last. */
	function overwritten({ x, W, dy, stride, padding }) {
		const [H, width] = [x[0].length, x[0][0].length];
		const shape = [1, 1, H + 2 * padding, width + 2 * padding];
		const places = cnnlib.im2col(array(range(shape[2] * shape[3])).reshape(...shape), W.length, stride).data;
		const dx = cnnlib.zeros(shape, "float64");
		W.flat().flatMap((weight) => dy[0].flat().map((value) => weight * value)).forEach((value, k) => { dx.data[places[k]] = value; });
		return dx.toNested()[0][0].slice(padding, padding + H).map((line) => line.slice(padding, padding + width));
	}

	// Controls

	let [task, example] = ["dx", Object.keys(data.examples)[0]];
	let right, wrong, fields;
	const tasks = figure.select("compute", { dx: "dx of the first image", dW: "dW", db: "db" }, task, (value) => { task = value; restart(); });
	const examples = figure.select("for", Object.fromEntries(Object.keys(data.examples).map((name) => [name, name])), example, (value) => { example = value; restart(); });
	figure.row(tasks.element, examples.element);
	const size = "1.85rem";
	const names = ["x[0]", "x[1]", "W", "dy[0]", "dy[1]"];
	const given = names.map((name) => figure.matrix(name, [[0]], { size }));
	figure.row(...names.map((name, k) => figure.named(name, given[k])));

	const title = make("p", { class: "lf-title" });
	const table = make("table", { class: "lf-matrix", style: "align-self: flex-start" });
	const next = figure.button("give me the next number", () => {
		const k = fields.findIndex((field) => field.value.trim() === "");
		if (k >= 0) { fields[k].value = String(right.flat()[k]); judge(); fields[Math.min(k + 1, fields.length - 1)].focus({ preventScroll: true }); }
	});
	const fill = figure.select("fill in a mistake", { none: "choose one" }, "none", (key) => {
		if (key !== "none") fields.forEach((field, k) => { field.value = String(+wrong[key].flat()[k].toFixed(6)); });
		judge();
	});
	figure.add(make("div", { class: "lf-group" }, title, table));
	const check = figure.check();
	const [verdict, why] = [make("p", { class: "lf-title" }), make("p")];
	figure.add(make("div", { class: "lf-group", style: "min-height: 6.5rem" }, check.element, verdict, why));
	figure.row(next, figure.button("clear", () => restart()), fill.element);

	function restart() {
		const e = data.examples[example];
		[...e.x, e.W, ...e.dy].forEach((values, k) => given[k].show(values));
		right = backward(e)[task];
		wrong = {};
		for (const [key, { give, why: known }] of Object.entries(FAULTS)) {
			const answer = known[task] && give(e)[task];
			if (answer && answer.flat().some((value, k) => far(value, right.flat()[k]))) wrong[key] = answer;
		}
		fill.input.replaceChildren(make("option", { value: "none" }, "choose one"), ...Object.keys(wrong).map((key) =>
			make("option", { value: key }, FAULTS[key].name + ({ first: ": the first", last: ": the last" }[key] ?? ""))));
		title.textContent = `Your ${task === "dx" ? "dx[0]" : task}`;
		table.replaceChildren(make("tbody", {}, right.map((line, i) => make("tr", {}, line.map((_, j) => make("td", {},
			make("input", { type: "text", autocomplete: "off", "aria-label": `${place(i, j)}`, oninput: () => { fill.value = "none"; judge(); }, onkeydown: move, style: "height: 2.1rem" })))))));
		fields = [...table.querySelectorAll("input")];
		judge();
	}

	const far = (a, b) => !(Math.abs(a - b) <= 5e-3); // two digits behind the point are enough; nan is far from all
	const place = (i, j) => (task === "db" ? "db" : task === "dW" ? `dW[${i}, ${j}]` : `dx[0][${i}, ${j}]`);
	const parsed = (text) => (text.trim() === "" ? null : Number(text.trim().replace("−", "-").replace(",", ".")));

	function move(event) {
		const step = { Enter: 1, ArrowDown: right[0].length, ArrowUp: -right[0].length }[event.key];
		if (!step) return;
		event.preventDefault();
		fields[Math.min(Math.max(fields.indexOf(event.target) + step, 0), fields.length - 1)].focus();
	}

	function judge() {
		const typed = fields.map((field) => parsed(field.value));
		const [expected, count] = [right.flat(), fields.length];
		const filled = typed.filter((value) => value !== null).length;
		const bad = typed.findIndex((value, k) => value !== null && far(value, expected[k]));
		fields.forEach((field, k) => {
			field.parentElement.className = k === bad ? "lf-bad" : "";
			field.setAttribute("aria-invalid", k === bad);
		});
		[verdict.textContent, why.textContent] = ["", ""];
		if (bad < 0) {
			const agree = filled < count || agrees();
			check.show(filled || !agree ? agree : null, !agree ? "These are the engine's numbers, but central differences say otherwise."
				: filled === count ? `${count === 1 ? "Right" : `All ${count} numbers are right`}, and central differences agree.`
				: filled ? `Right so far: ${filled} of ${count}.` : `${count === 1 ? "One number" : `${count} numbers`} to compute; begin where you like.`);
		} else {
			const where = place(Math.floor(bad / right[0].length), bad % right[0].length);
			const value = typed[bad];
			check.show(false, Number.isNaN(value) ? `${where} is not a number.` : `The first wrong number is ${where}: ${shown(value)}.`);
			const fitting = Object.keys(wrong).filter((key) => !far(wrong[key].flat()[bad], value));
			const all = fitting.filter((key) => typed.every((v, k) => v === null || !far(wrong[key].flat()[k], v)));
			const suspects = all.length ? all : fitting;
			const known = [...new Set(suspects.map((key) => FAULTS[key].name))];
			if (suspects.length) {
				verdict.textContent = known.join(", or: ") + (all.length ? "" : "?");
				why.textContent = !all.length ? `${known.length === 1 ? "It gives" : "They give"} this number, but not all of the others.`
					: known.length === 1 ? FAULTS[suspects[0]].why[task] : "Several mistakes give this number; the next numbers will tell.";
			} else if (!Number.isNaN(value)) {
				verdict.textContent = "None of the known mistakes";
				why.textContent = { dx: "Which outputs use this pixel, and through which weight each?", dW: "Which pixel does this weight meet at each output, in both images?", db: "The bias is in every output, with the factor 1." }[task];
			}
		}
		figure.say(`${check.element.textContent} ${verdict.textContent} ${why.textContent}`);
	}

	/** Do central differences say the same as the engine's backward? */
	function agrees() {
		const { x, W, dy, stride, padding } = data.examples[example];
		const layer = cnnlib.Convolutional(1, 1, W.length, { stride, padding, initializer: "zeros", dtype: "float64" });
		layer.W = array([[W]], "float64");
		const images = array(x.map((image) => [image]), "float64");
		const weights = dy.flat(2);
		layer.forward(images);
		const L = () => layer.forward(images).data.reduce((sum, y, k) => sum + weights[k] * y, 0);
		const slopes = cnnlib.numerical_gradient(L, { dx: images, dW: layer.W, db: layer.b }[task]);
		return right.flat().every((value, k) => Math.abs(value - slopes[k]) < 1e-6 * Math.max(1, Math.abs(value)));
	}
	restart();
});
