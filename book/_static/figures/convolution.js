/* Chapter 5: one output of a convolutional layer, taken apart: its window, its products, its column of im2col. */

liveFigure.define("convolution", (figure, data) => {
	"use strict";
	const { block, make, number } = liveFigure;
	const { array } = cnnlib;
	const [C, F, K] = [data.W[0].length, data.W.length, data.W[0][0].length];
	const shown = (value) => number(value, 7);
	const signed = (value) => (value < 0 ? `(${shown(value)})` : shown(value));
	const range = (count) => Array.from({ length: count }, (_, k) => k);
	let x, W, b, selected;
	const restart = () => { [x, W, b, selected] = [...structuredClone([data.x, data.W, data.b]), [0, 1, 1]]; };
	restart();

	// Controls

	const largest = x[0].length;
	const redrawSoon = figure.onceAFrame(redraw);
	const size = figure.slider("image", { min: 5, max: largest, step: 1, value: 5, format: (n) => `${n} × ${n}` }, redrawSoon);
	const stride = figure.slider("stride", { min: 1, max: 3, step: 1, value: 1 }, redrawSoon);
	const padding = figure.slider("padding", { min: 0, max: 2, step: 1, value: 0 }, redrawSoon);
	const again = figure.button("start again", () => {
		restart();
		[size.value, stride.value, padding.value] = [5, 1, 0];
		redraw();
	});
	for (const { input } of [size, stride, padding]) input.style.width = "6rem";
	figure.row(size.element, stride.element, padding.element);
	const sizes = figure.add(make("p"));

	// Arrays

	const inside = (i, j) => [i, j].every((k) => k >= padding.value && k < padding.value + size.value);
	const images = range(C).map((c) => figure.matrix(`x[${c}], channel ${c} of the image; type a number to change it`, [[0]], {
		change: (i, j, value) => { x[c][i - padding.value][j - padding.value] = value; redraw(); },
		editable: inside,
	}));
	const kernels = range(F).map((f) => range(C).map((c) => figure.matrix(`W[${f}, ${c}], the kernel of filter ${f} for channel ${c}`, [[0]], {
		change: (i, j, value) => { W[f][c][i][j] = value; redraw(); },
	})));
	const biases = range(F).map((f) => figure.matrix(`b[${f}], the bias of filter ${f}`, [[0]], {
		change: (i, j, value) => { b[f] = value; redraw(); },
	}));
	const maps = range(F).map((f) => figure.matrix(`y[${f}], the output of filter ${f}; choose one`, [[0]], {
		select: (i, j) => { selected = [f, i, j]; redraw(); },
	}));
	figure.row(...range(C).map((c) => figure.named(`x[${c}]`, images[c])));
	for (const f of range(F))
		figure.row(...range(C).map((c) => figure.named(`W[${f}, ${c}]`, kernels[f][c])),
			figure.named(`b[${f}]`, biases[f]), figure.named(`y[${f}]`, maps[f]));

	// The chosen output

	const title = make("p", { class: "lf-title" });
	const sums = range(C + 1).map(() => make("p", { class: "lf-note" }));
	const check = figure.check();
	figure.add(make("div", { class: "lf-group" }, title, ...sums, check.element));
	const column = figure.matrix("the column of im2col, one line for each channel", [[0]], { size: "2rem" });
	const weights = figure.matrix("the row of W, one line for each channel", [[0]], { size: "2rem" });
	const columnTitle = make("p", { class: "lf-title" });
	const rowTitle = make("p", { class: "lf-title" });
	figure.row(make("div", { class: "lf-named" }, columnTitle, column.element), make("div", { class: "lf-named" }, rowTitle, weights.element));
	figure.row(again, figure.scale());

	// A sum of products, each of which stays on one line.
	const written = (products) => products.flatMap(([p, q], k) => [
		make("span", { style: "white-space: nowrap" }, `${k ? "+ " : ""}${signed(p)} · ${signed(q)}`), " ",
	]);

	function redraw() {
		const [n, step, zeros] = [size.value, stride.value, padding.value];
		const layer = cnnlib.Convolutional(C, F, K, { stride: step, padding: zeros, dtype: "float64" });
		[layer.W, layer.b] = [array(W, "float64"), array(b, "float64")];
		const image = x.map((channel) => channel.slice(0, n).map((line) => line.slice(0, n)));
		const y = layer.forward([image]).toNested()[0];
		const h = y[0].length;
		selected = [selected[0], Math.min(selected[1], h - 1), Math.min(selected[2], h - 1)];
		const [f, r, s] = selected;

		const total = n + 2 * zeros;
		const padded = image.map((channel) => range(total).map((i) => range(total).map((j) => (inside(i, j) ? channel[i - zeros][j - zeros] : 0))));
		const quotient = (total - K) / step;
		const left = total - ((h - 1) * step + K);
		sizes.textContent = `h = ⌊(${n} + 2 · ${zeros} − ${K}) / ${step}⌋ + 1 = ⌊${number(quotient)}⌋ + 1 = ${h}` +
			(left ? `; the last ${left === 1 ? "row and column are" : `${left} rows and columns are`} in no window (hatched).` : "; nothing is left over.");

		const frames = [];
		for (const i of range(total)) for (const j of range(total)) {
			if (!inside(i, j)) frames.push([i, j, "lf-faint"]);
			if (Math.max(i, j) >= total - left) frames.push([i, j, "lf-hatched"]);
		}
		frames.push(...block(r * step, s * step, K));
		const limit = liveFigure.largest(image);
		const cell = Math.min(2.25, Math.max(1.4, Math.floor(780 / total) / 60)); // rem, so that three lie side by side
		images.forEach((matrix) => matrix.element.style.setProperty("--lf-cell", `${cell}rem`));
		images.forEach((matrix, c) => matrix.show(padded[c], { frames, limit }));
		const heaviest = liveFigure.largest(W);
		kernels.forEach((filter, g) => filter.forEach((matrix, c) => matrix.show(W[g][c], {
			limit: heaviest, frames: g === f ? block(0, 0, K) : [],
		})));
		biases.forEach((matrix, g) => matrix.show([[b[g]]], { limit: heaviest, frames: g === f ? [[0, 0, "lf-frame-2"]] : [] }));
		maps.forEach((matrix, g) => matrix.show(y[g], { limit: liveFigure.largest(y), frames: g === f ? [[r, s, "lf-frame-2"]] : [] }));

		// Column q of im2col and row f of W are the factors of every product.
		const q = r * h + s;
		const cols = cnnlib.im2col([padded], K, step).toNested().map((line) => line[q]);
		const pixels = range(C).map((c) => cols.slice(c * K * K, (c + 1) * K * K));
		const row = W[f].map((kernel) => kernel.flat());
		const parts = pixels.map((line, c) => line.reduce((sum, pixel, k) => sum + pixel * row[c][k], 0));
		title.textContent = `y[${f}, ${r}, ${s}]: weight · pixel, added up`;
		parts.forEach((part, c) => sums[c].replaceChildren(`channel ${c}: `, ...written(row[c].map((weight, k) => [weight, pixels[c][k]])), `= ${shown(part)}`));
		const sum = parts.reduce((a, part) => a + part, b[f]);
		sums[C].textContent = `channels and bias: ${[...parts, b[f]].map(signed).join(" + ")} = ${shown(sum)}`;
		const agree = Math.abs(sum - y[f][r][s]) <= 1e-9 * Math.max(1, Math.abs(sum));
		check.show(agree, `cnnlib.Convolutional computes ${shown(y[f][r][s])}${agree ? ", too" : ""}.`);
		columnTitle.textContent = `column ${q} of im2col, by channel`;
		rowTitle.textContent = `row ${f} of W, by channel`;
		column.show(pixels, { limit });
		weights.show(row, { limit: heaviest });
		figure.say(`Output ${f}, ${r}, ${s} is ${shown(y[f][r][s])}. Each map has ${h} rows. The window begins at row ${r * step}, column ${s * step}.`);
	}
	redraw();
});
