/* Chapter 2: a graph whose values can be changed; slopes run backward through it, and one local slope can be broken. */

liveFigure.define("chain-rule", (figure, data) => {
	"use strict";
	const { draw, fill, make, number } = liveFigure;

	// u = x w, v = u + b, L = u v. A product is a dense layer with the second factor as W, a sum one with the second
	// summand as b: so the engine computes forward and backward.
	const values = { ...data.values };
	const arrows = [ // from, to, and the array of the layer `to` that holds the slope
		["x", "u", "dx"], ["w", "u", "dW"], ["u", "v", "dx"], ["b", "v", "db"], ["u", "L", "dx"], ["v", "L", "dW"],
	];
	const inputs = ["x", "w", "b"];
	const faults = { sign: ["sign turned", -1], zero: ["forgotten", 0], double: ["doubled", 2] };
	const places = { x: [42, 40], w: [42, 160], u: [158, 100], b: [158, 262], v: [270, 190], L: [378, 100] };
	let chosen = "x";

	const one = (value) => cnnlib.array([[value]], "float64");
	function layer(W, b) {
		const dense = cnnlib.Dense(1, 1, { initializer: "zeros", dtype: "float64" });
		[dense.W, dense.b] = [one(W), cnnlib.array([b], "float64")];
		return dense;
	}

	/** All values and the three layers, for these inputs. */
	function forward({ x, w, b }) {
		const through = (dense, input) => dense.forward(one(input)).data[0];
		const product = layer(w, 0);
		const u = through(product, x);
		const sum = layer(1, b);
		const v = through(sum, u);
		const last = layer(v, 0);
		const L = through(last, u);
		return { values: { x, w, b, u, v, L }, layers: { u: product, v: sum, L: last } };
	}

	/** What arrives along every arrow when `dy` comes to its end, with the fault that the reader has chosen. */
	function arrive(layers, end, dy) {
		const dense = layers[end];
		const dx = dense.backward(one(dy));
		const arrays = { dx, dW: dense.dW, db: dense.db };
		return Object.fromEntries(arrows.filter(([, to]) => to === end).map(([from, to, name]) =>
			[from, arrays[name].data[0] * (broken.value === from + to ? faults[fault.value][1] : 1)]));
	}

	const fields = inputs.map((name) => figure.field(name, { value: values[name] }, (value) => { values[name] = value; redraw(); }));
	fields.forEach(({ input }) => { input.style.width = "4rem"; });
	const label = (from, to) => `∂${to}/∂${from}`;
	const broken = figure.select("break", { "": "nothing", ...Object.fromEntries(arrows.map(([from, to]) => [from + to, label(from, to)])) }, "", () => redraw());
	const fault = figure.select("how", Object.fromEntries(Object.entries(faults).map(([name, [text]]) => [name, text])), "sign", () => redraw());
	figure.row(...fields.map(({ element }) => element),
		figure.button("start again", () => {
			Object.assign(values, data.values);
			inputs.forEach((name, k) => { fields[k].value = values[name]; });
			[broken.value, fault.value, chosen] = ["", "sign", "x"];
			redraw();
		})).style.cssText = "align-items: center; column-gap: 0.75rem";
	figure.row(broken.element, fault.element);

	// The graph

	const svg = figure.svg(420, 290, "The computation graph");
	svg.setAttribute("role", "group"); // its nodes can be chosen
	svg.style.maxWidth = "460px";
	const parts = {};
	const tip = `chain-${Math.random().toString(36).slice(2)}`;
	svg.append(draw("defs", {}, draw("marker", { id: tip, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
		draw("path", { d: "M 0 0 L 8 4 L 0 8 Z", style: "fill: var(--lf-text)" }))));
	for (const [from, to] of arrows) {
		const [[x0, y0], [x1, y1]] = [places[from], places[to]];
		const size = Math.hypot(x1 - x0, y1 - y0);
		const border = Math.min(36 / Math.abs(x1 - x0), 21 / Math.abs(y1 - y0)); // the share of the way inside of a box
		const cut = (away) => [(x1 - x0) * (border + away / size), (y1 - y0) * (border + away / size)];
		const [a, b] = [cut(1), cut(3)];
		const path = draw("path", { d: `M ${x0 + a[0]} ${y0 + a[1]} L ${x1 - b[0]} ${y1 - b[1]}`, "marker-end": `url(#${tip})` });
		const text = draw("text", { x: (x0 + x1) / 2, y: (y0 + y1) / 2 + 4, "text-anchor": "middle", style: "paint-order: stroke; stroke: var(--pst-color-background, #fff); stroke-width: 5; font-weight: 600" });
		svg.append(path, text);
		parts[from + to] = { path, text };
	}
	for (const [name, [px, py]] of Object.entries(places)) {
		const box = draw("rect", { x: px - 36, y: py - 21, width: 72, height: 42, rx: 7 });
		const value = draw("text", { x: px, y: py - 4, "text-anchor": "middle" });
		const slope = draw("text", { x: px, y: py + 14, "text-anchor": "middle", style: "font-weight: 700" });
		const node = draw("g", { role: "button", tabindex: 0, style: "cursor: pointer", "data-node": name }, box, value, " ", slope);
		const choose = () => { chosen = name; redraw(); };
		node.addEventListener("click", choose);
		node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); } });
		svg.append(node);
		parts[name] = { node, box, value, slope };
	}
	const pathList = make("ul", { style: "list-style: none; margin: 0.25rem 0; padding: 0" });
	const pathTitle = make("p", { class: "lf-title" });
	const checks = [...inputs].map(() => figure.check());
	figure.row(make("div", { style: "flex: 4 1 300px; max-width: 460px; min-width: 0" }, svg),
		make("div", { style: "flex: 2 1 200px; min-width: 0" }, pathTitle, pathList,
			make("p", { class: "lf-title", style: "margin-top: 0.75rem" }, "Is it right?"), checks.map(({ element }) => element)));
	figure.add(make("p", { class: "lf-note" }, "In each box: the value, and below it the slope of L. On each arrow: its local slope. Choose a box to see its paths to L."));

	/** All paths from a node to L, as lists of arrows. */
	const pathsFrom = (name) => (name === "L" ? [[]] :
		arrows.filter(([from]) => from === name).flatMap(([from, to]) => pathsFrom(to).map((rest) => [[from, to], ...rest])));

	function redraw() {
		const now = forward(values);
		const local = {};
		for (const end of ["u", "v", "L"])
			for (const [from, slope] of Object.entries(arrive(now.layers, end, 1))) local[from + end] = slope;
		// Backward: from L to the front; what arrives at a node adds up
		const slopes = { x: 0, w: 0, b: 0, u: 0, v: 0, L: 1 };
		for (const end of ["L", "v", "u"])
			for (const [from, slope] of Object.entries(arrive(now.layers, end, slopes[end]))) slopes[from] += slope;

		const paths = pathsFrom(chosen);
		const used = new Set(paths.flat().map(([from, to]) => from + to));
		for (const [from, to] of arrows) {
			const { path, text } = parts[from + to];
			const wrong = broken.value === from + to;
			text.textContent = `×${number(local[from + to])}${wrong ? " !" : ""}`;
			text.style.fill = wrong ? "var(--lf-negative)" : "var(--lf-text)";
			path.style.cssText = `fill: none; stroke: var(--lf-${wrong ? "negative" : used.has(from + to) ? "accent" : "text"}); stroke-width: ${used.has(from + to) ? 3 : 1.2}; ${wrong ? "stroke-dasharray: 5 4" : ""}`;
		}
		for (const name of Object.keys(places)) {
			const { node, box, value, slope } = parts[name];
			value.textContent = `${name} = ${number(now.values[name])}`;
			slope.textContent = `d${name} = ${number(slopes[name])}`;
			box.style.cssText = `fill: var(--pst-color-surface, #f5f5f5); stroke: var(--lf-${name === chosen ? "accent" : "line"}); stroke-width: ${name === chosen ? 3 : 1}`;
			fill(node, { "aria-pressed": String(name === chosen), "aria-label": `${value.textContent}, ${slope.textContent}` });
		}
		pathTitle.textContent = chosen === "L" ? "L responds to itself one to one" : `${paths.length === 1 ? "The path" : `The ${paths.length} paths`} from ${chosen} to L`;
		const products = paths.map((path) => path.map(([from, to]) => local[from + to]).reduce((a, b) => a * b, 1));
		const bracket = (value) => (value < 0 ? `(${number(value)})` : number(value));
		pathList.replaceChildren(...(chosen === "L" ? [] : paths.map((path, k) => make("li", {},
			`${[chosen, ...path.map(([, to]) => to)].join(" → ")}: ${path.map(([from, to]) => bracket(local[from + to])).join(" · ")} = ${number(products[k])}`))),
			...(paths.length > 1 ? [make("li", {}, `sum: d${chosen} = ${number(products.reduce((a, b) => a + b, 0))}`)] : []));

		const said = inputs.map((name, k) => {
			const moved = one(values[name]);
			const [measured] = cnnlib.numerical_gradient(() => forward({ ...values, [name]: moved.data[0] }).values.L, moved);
			const scale = Math.max(Math.abs(measured), Math.abs(slopes[name]));
			const holds = Math.abs(measured - slopes[name]) <= 1e-6 * scale + 1e-8;
			checks[k].show(holds, `d${name}: backward ${number(slopes[name])}, difference ${number(+measured.toFixed(6))}`);
			return holds ? null : `d${name}`;
		}).filter(Boolean);
		figure.say(`L = ${number(now.values.L)}; ${said.length ? `wrong: ${said.join(", ")}` : "all slopes agree with differences"}.`);
	}
	redraw();
});
