/* Chapter 4: how large the numbers are in every layer of a deep network, on the way forward and on the way back. */

liveFigure.define("signal", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;
	const [D, width, M] = [data.inputs, data.width, 10];
	const images = cnnlib.array(Float64Array.from(cnnlib.decode(data.images, "uint8"), (byte) => byte / 255)).reshape(data.labels.length, D);
	const t = cnnlib.one_hot(data.labels, M, "float64");
	const loss = cnnlib.SoftmaxCrossEntropy();
	const ACTIVATIONS = { ReLU: cnnlib.ReLU, Sigmoid: cnnlib.Sigmoid };
	const drawn = {}; // dense layers, by initializer and place

	const depth = figure.slider("hidden layers", { min: 2, max: 20, step: 1, value: data.depth }, figure.onceAFrame(redraw));
	const activation = figure.select("activation", { ReLU: "ReLU", Sigmoid: "sigmoid", none: "none" }, "Sigmoid", redraw);
	const initializer = figure.select("weights", { he: "He", glorot: "Glorot" }, "glorot", redraw);
	const factor = figure.slider("times", { values: data.factors, value: 1 }, figure.onceAFrame(redraw));
	figure.add(make("div", { style: "display: grid; gap: 0.4rem 1.25rem; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr))" },
		[activation, depth, initializer, factor].map(({ element }) => element)));

	const charts = ["Size of y in each layer", "Size of dW in each layer"].map((title) => {
		const chart = figure.chart(title, { x: [0, data.depth + 1], y: [1e-9, 10], width: 340, height: 230, log: true, xlabel: "layer" });
		return { chart, element: make("div", { class: "lf-group", style: "flex: 1 1 280px; min-width: 0" }, make("p", { class: "lf-title" }, title), chart.element) };
	});
	figure.row(...charts.map(({ element }) => element));
	const text = figure.add(make("p", { class: "lf-result" }));
	const table = make("tbody");
	let rows = () => [];
	const details = figure.add(make("details", { ontoggle: fill_table }, make("summary", {}, "The numbers of every layer"),
		make("div", { style: "overflow-x: auto" }, make("table", { class: "lf-numbers", style: "width: auto" },
			make("thead", {}, make("tr", {}, ["layer", "size of y", "size of dW", "units always 0"].map((name) => make("th", { scope: "col" }, name)))), table))));

	/** The dense layer of place k. Its initial weights are drawn once, so that a longer network begins like a shorter one. */
	function layer_at(k, inputs, outputs) {
		const made = (drawn[`${initializer.value} ${k} ${outputs}`] ??= (() => {
			const layer = cnnlib.Dense(inputs, outputs, initializer.value, { rng: cnnlib.default_rng(100 * k + outputs), dtype: "float64" });
			return { layer, initial: layer.W.copy().data };
		})());
		const times = factor.value;
		for (let place = 0, W = made.layer.W.data; place < W.length; place++) W[place] = times * made.initial[place];
		return made.layer;
	}

	/** The root of the mean square. */
	function size({ data: values }) {
		let sum = 0;
		for (let k = 0; k < values.length; k++) sum += values[k] * values[k];
		return Math.sqrt(sum / values.length);
	}

	function redraw() {
		const [L, layers, dense, ends] = [depth.value, [], [], []]; // `ends`: the last layer of every place
		for (let k = 0; k <= L; k++) {
			const [inputs, outputs] = [k ? width : D, k < L ? width : M];
			dense.push(layer_at(k, inputs, outputs));
			layers.push(dense[k]);
			if (k < L && activation.value !== "none") layers.push(new ACTIVATIONS[activation.value]());
			ends.push(layers.at(-1));
		}
		const network = (figure.network = cnnlib.Network(layers, [D]));
		network.needs_dx = false;
		network.backward(loss.gradient(network.forward(images), t));

		const outputs = ends.map((layer) => layer.last.y);
		const [y, dW] = [outputs.map(size), dense.map(({ dW: gradient }) => size(gradient))];
		const dead = outputs.map(({ data: values, shape: [, units] }) => {
			const active = new Set();
			values.forEach((value, place) => { if (value !== 0) active.add(place % units); });
			return units - active.size;
		});
		[y, dW].forEach((sizes, place) => {
			const found = sizes.filter((value) => value > 0);
			const [low, high] = [Math.min(1e-3, ...found), Math.max(10, ...found)].map(Math.log10);
			charts[place].chart.range([0, L + 1], [10 ** Math.floor(low), 10 ** Math.ceil(high)]);
			charts[place].chart.lines([{ points: sizes.map((value, k) => [k + 1, value > 0 ? value : NaN]), class: "lf-line-1" }]);
			charts[place].chart.content.append(...sizes.flatMap((value, k) => {
				const [cx, cy] = charts[place].chart.place(k + 1, value);
				return value > 0 && Number.isFinite(value) ? [draw("circle", { cx, cy, r: 3, fill: "var(--lf-accent)" })] : [];
			}));
		});
		const each = (ratio) => `a factor of ${number(ratio ** (1 / (L - 1)))} a layer`;
		const forward = `Forward: y is ${number(y[0])} in layer 1 and ${number(y[L - 1])} in layer ${L}: ${each(y[L - 1] / y[0])}.`;
		const backward = `Backward: dW is ${number(dW[L - 1])} in layer ${L} and ${number(dW[0])} in layer 1: ${each(dW[0] / dW[L - 1])}.`;
		text.replaceChildren(forward, make("br"), backward);
		rows = () => y.map((value, k) => make("tr", {}, make("th", { scope: "row" }, String(k + 1)), [value, dW[k], dead[k]].map((each) => make("td", {}, number(each)))));
		fill_table();
		figure.say(`${forward} ${backward}`);
	}

	function fill_table() {
		if (details.open) table.replaceChildren(...rows());
	}
	setTimeout(redraw);
});
