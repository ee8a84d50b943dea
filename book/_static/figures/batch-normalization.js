/* Chapter 17: six numbers of one channel, normalized; and the gradient of each as the sum of three paths. */

liveFigure.define("batch-normalization", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;
	const m = data.x.length;
	const LIMIT = 4;
	const column = (values) => cnnlib.array(values.map((value) => [value]), "float64");
	const layer = cnnlib.BatchNormalization(1, { dtype: "float64" });
	let [x, dy] = [[...data.x], [...data.dy]];

	const mode = figure.select("mode", { training: "training", prediction: "prediction" }, "training", redraw);
	const [gamma, beta] = [["γ", 1], ["β", 0]].map(([name, value]) => figure.slider(name, { min: -2, max: 2, step: 0.1, value }, redraw));
	figure.row(mode.element, gamma.element, beta.element, figure.button("Back to the start", () => {
		[x, dy] = [[...data.x], [...data.dy]];
		[mode.value, gamma.value, beta.value] = ["training", 1, 0];
		redraw();
	}));

	// Two axes, one above the other; a line leads from each x to its y.
	const [WIDTH, TOP, BOTTOM] = [360, 34, 134];
	const svg = figure.svg(WIDTH, 172, "Six numbers x on the upper axis, and what becomes of them, y, on the lower one");
	svg.setAttribute("role", "group");
	const place = (value) => WIDTH / 2 + Math.min(Math.max(value, -LIMIT - 0.4), LIMIT + 0.4) * (WIDTH / 2 - 22) / (LIMIT + 0.4);
	const axis = (y, name) => {
		svg.append(draw("path", { d: `M 12 ${y} H ${WIDTH - 12}`, class: "lf-line", style: "stroke: var(--pst-color-border)" }));
		for (let at = -LIMIT; at <= LIMIT; at += 2) svg.append(draw("text", { x: place(at), y: y + 30, "text-anchor": "middle", style: "font-size: 12px; fill: currentColor" }, number(at)));
		svg.append(draw("text", { x: 4, y: y - 14, style: "font-size: 13px; font-style: italic; fill: currentColor" }, name));
	};
	axis(TOP, "x");
	axis(BOTTOM, "y");
	const band = draw("rect", { y: TOP - 12, height: 24, style: "fill: var(--lf-positive); opacity: 0.15" });
	const centre = draw("path", { style: "stroke: var(--lf-positive); stroke-width: 2" });
	svg.append(band, centre);
	const links = x.map(() => draw("path", { class: "lf-line", style: "stroke: var(--pst-color-text-muted); stroke-width: 1" }));
	const ends = x.map(() => draw("circle", { cy: BOTTOM, r: 6, style: "fill: var(--lf-positive)" }));
	svg.append(...links, ...ends);
	const handles = x.map((_, i) => handle(i));
	svg.append(...handles);

	const names = ["x", "x̂", "y", "dy", "direct", "through μ", "through v", "dx"];
	const change = { 0: (_, i, value) => set(x, i, value), 3: (_, i, value) => set(dy, i, value) };
	const rows = names.map((name, k) => {
		const matrix = figure.matrix(name, [Array(m).fill(0)], { change: change[k] ?? null });
		matrix.element.style.cssText = "--lf-long: 0.7rem; table-layout: fixed; width: 100%";
		return matrix;
	});
	const table = make("div", { style: "display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0.3rem 0.5rem; align-items: center" },
		rows.flatMap((row, k) => [make("span", { class: "lf-title", style: "white-space: nowrap" }, names[k]), row.element]));
	const [result, check] = [make("p", { class: "lf-result" }), figure.check()];
	figure.row(make("div", { style: "flex: 1 1 300px; min-width: 0" }, svg, make("p", { class: "lf-note" }, "Drag a number x. The band reaches from one standard deviation below the mean to one above."), result, check.element),
		make("div", { class: "lf-group", style: "flex: 1 1 320px; min-width: 0" }, table, make("p", { class: "lf-note" }, "x and dy can be typed. dx is the sum of the three rows above it.")));
	figure.add(figure.scale());

	/** Two decimals, where the number has them: a cell has room for no more. */
	const short = (value) => number(Math.abs(value) < 10 ? Math.round(100 * value) / 100 : value);

	function set(list, i, value) {
		list[i] = Math.min(Math.max(value, -LIMIT), LIMIT);
		redraw();
	}

	/** What the mouse, a finger or the arrow keys move: one number of the channel. */
	function handle(i) {
		const element = draw("g", { tabindex: 0, role: "slider", "aria-label": `number ${i + 1}`, "aria-valuemin": -LIMIT, "aria-valuemax": LIMIT, style: "cursor: grab; touch-action: none" },
			draw("circle", { r: 15, fill: "transparent" }),
			draw("circle", { r: 8, style: "fill: var(--pst-color-background, #fff); stroke: var(--lf-positive); stroke-width: 2" }),
			draw("text", { "text-anchor": "middle", y: 4, "aria-hidden": "true", style: "font-size: 11px; pointer-events: none; fill: currentColor" }, String(i + 1)));
		const follow = figure.onceAFrame(redraw);
		element.addEventListener("pointerdown", (event) => { element.setPointerCapture(event.pointerId); element.focus({ preventScroll: true }); event.preventDefault(); });
		element.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
		element.addEventListener("pointermove", (event) => {
			if (!element.hasPointerCapture(event.pointerId)) return;
			const box = svg.getBoundingClientRect();
			const at = ((event.clientX - box.left) / box.width * WIDTH - WIDTH / 2) * (LIMIT + 0.4) / (WIDTH / 2 - 22);
			x[i] = Math.min(Math.max(Math.round(20 * at) / 20, -LIMIT), LIMIT);
			follow();
		});
		element.addEventListener("keydown", (event) => {
			const step = { ArrowLeft: -0.1, ArrowDown: -0.1, ArrowRight: 0.1, ArrowUp: 0.1, PageUp: 1, PageDown: -1 }[event.key];
			if (!step) return;
			event.preventDefault();
			set(x, i, Math.round(20 * (x[i] + step)) / 20);
		});
		return element;
	}

	/** Forward, with the running statistics as they were: drawing must not move them. */
	function forward(input) {
		layer.running_mean = [0];
		layer.running_variance = [1];
		return layer.forward(input);
	}

	function redraw() {
		layer.training = mode.value === "training";
		[layer.gamma, layer.beta] = [[gamma.value], [beta.value]];
		const input = column(x);
		const y = [...forward(input).data];
		const dx = [...layer.backward(column(dy)).data];
		const [g, dgamma, dbeta, x_hat] = [gamma.value * layer.scale[0], layer.dgamma.data[0], layer.dbeta.data[0], [...layer.x_hat.data]];
		const [direct, zero] = [dy.map((value) => g * value), Array(m).fill(0)];
		const through_mean = layer.training ? zero.map(() => -g * dbeta / m) : zero;
		const through_variance = layer.training ? x_hat.map((value) => -g * value * dgamma / m) : zero;
		[x, x_hat, y, dy, direct, through_mean, through_variance, dx].forEach((values, k) => rows[k].show([values], change[k] ? {} : { text: short }));

		const mean = layer.training ? x.reduce((a, b) => a + b) / m : 0;
		const deviation = 1 / layer.scale[0];
		band.setAttribute("x", place(mean - deviation));
		band.setAttribute("width", Math.max(place(mean + deviation) - place(mean - deviation), 0));
		centre.setAttribute("d", `M ${place(mean)} ${TOP - 12} v 24`);
		handles.forEach((element, i) => {
			element.setAttribute("transform", `translate(${place(x[i])} ${TOP})`);
			element.setAttribute("aria-valuenow", x[i]);
			element.setAttribute("aria-valuetext", number(x[i]));
			ends[i].setAttribute("cx", place(y[i]));
			links[i].setAttribute("d", `M ${place(x[i])} ${TOP + 8} L ${place(y[i])} ${BOTTOM - 6}`);
		});
		result.textContent = `μ = ${number(mean)}, v = ${number(deviation ** 2 - layer.epsilon)}, dγ = ${number(dgamma)}, dβ = ${number(dbeta)}`;

		const L = () => forward(input).data.reduce((sum, value, i) => sum + dy[i] * value, 0);
		const arrays = [[input, dx], [layer.gamma, [dgamma]], [layer.beta, [dbeta]]];
		const holds = arrays.every(([array, gradient]) => {
			const step = Math.min(1e-5, 1e-3 * deviation);
			const numerical = cnnlib.numerical_gradient(L, array, array.data.keys(), step);
			return gradient.every((value, k) => Math.abs(value - numerical[k]) <= 1e-5 * Math.max(1, Math.abs(value)));
		}) && dx.every((value, i) => Math.abs(value - direct[i] - through_mean[i] - through_variance[i]) <= 1e-9 * Math.max(1, Math.abs(value)));
		check.show(holds, holds ? "dx, dγ and dβ agree with central differences." : "A gradient differs from its central difference.");
		figure.say(`Mean ${number(mean)}, variance ${number(deviation ** 2 - layer.epsilon)}. Normalized: ${x_hat.map((value) => number(value, 2)).join(", ")}. Output y: ${y.map((value) => number(value, 2)).join(", ")}. Gradient dx: ${dx.map((value) => number(value, 2)).join(", ")}.`);
	}

	redraw();
});
