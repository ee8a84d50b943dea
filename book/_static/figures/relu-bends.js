/* Chapter 4: four ReLUs, each of which adds one bend to a curve; descent may look for the bends, too. */

liveFigure.define("relu-bends", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;
	const K = data.bend.length;
	const column = (values) => cnnlib.array([...values].map((value) => [value]), "float64");
	const x = column(data.x);
	const targets = Object.fromEntries(Object.entries(data.targets).map(([name, values]) => [name, column(values)]));
	const [hidden, relu, output] = [cnnlib.Dense(1, K, "zeros", { dtype: "float64" }), cnnlib.ReLU(), cnnlib.Dense(K, 1, "zeros", { dtype: "float64" })];
	const network = cnnlib.Network([hidden, relu, output], [1]);
	hidden.W.data.fill(1);
	const [bias, slope] = [hidden.b.data, output.W.data]; // unit k bends the curve at -bias[k]
	const loss = cnnlib.MeanSquaredError();
	let descent = null;

	const target = figure.select("target", Object.fromEntries(Object.keys(data.targets).map((name) => [name, name])), Object.keys(data.targets)[0], () => { stop(); redraw(); });
	const TRY = "Let descent try: 200 steps";
	const descend = figure.button(TRY, () => {
		if (descent?.running) return stop();
		descend.textContent = "Stop";
		const optimizer = cnnlib.SGD(data.learning_rate);
		descent = figure.play((k) => {
			for (let step = 0; step < 5; step++) {
				backpropagate();
				optimizer.step([[hidden.b, hidden.db], [output.W, output.dW]]);
			}
			redraw();
			if (k === 39) descend.textContent = TRY;
			return k < 39;
		}, 30);
	});
	figure.row(target.element, descend, figure.button("Back to the start", () => { stop(); begin(); redraw(); }));

	const chart = figure.chart("The sum of four ReLUs, their single parts, and the target", { x: [-3.5, 4.5], y: [-2.5, 2.5], width: 360, height: 290, xlabel: "x", ylabel: "y" });
	chart.element.setAttribute("role", "group");
	const [left, top] = chart.place(-3.5, 2.5);
	const [right, bottom] = chart.place(4.5, -2.5);
	chart.element.append(draw("clipPath", { id: "relu-bends-clip" }, draw("rect", { x: left, y: top, width: right - left, height: bottom - top })));
	chart.content.setAttribute("clip-path", "url(#relu-bends-clip)");
	const [bends, slopes] = ["bend", "slope"].map((what) => Array.from({ length: K }, (_, k) => handle(k, what))); // in the order of the Tab key

	const rows = ["bend", "slope", "dL/d bend", "dL/d slope"].map((name, place) => fixed(figure.matrix(`${name} of each unit`, [[0, 0, 0, 0]], place < 2 ? { change: (_, k, value) => { stop(); set(k, name, value); redraw(); } } : { digits: 2 })));
	function fixed(matrix) {
		matrix.element.style.cssText = "table-layout: fixed; width: 15rem";
		return matrix;
	}
	const names = ["bend", "slope", "∂L/∂bend", "∂L/∂slope"];
	const numbers = make("div", { style: "display: grid; grid-template-columns: auto auto; gap: 0.4rem 0.5rem; align-items: center; justify-content: start" },
		make("span", { class: "lf-title" }, "unit"), make("div", { style: "display: grid; grid-template-columns: repeat(4, 1fr); text-align: center", class: "lf-title", "aria-hidden": "true" }, ["1", "2", "3", "4"].map((k) => make("span", {}, k))),
		rows.flatMap((row, place) => [make("span", {}, names[place]), row.element]));
	const [value, check] = [make("p", { class: "lf-result" }), figure.check()];
	figure.row(make("div", { style: "flex: 1 1 290px; min-width: 0" }, chart.element), make("div", { class: "lf-group", style: "flex: 0 1 20.5rem; gap: 0.6rem" }, numbers, value, check.element,
		make("p", { class: "lf-note" }, "Solid: y. Dashed: the target. Dotted: the units. Drag a circle to move a bend, a square to change a slope.")));

	function stop() {
		descent?.stop();
		descend.textContent = TRY;
	}

	function begin() {
		data.bend.forEach((bend, k) => { [bias[k], slope[k]] = [-bend, data.slope[k]]; });
	}

	function set(k, what, next) {
		const [least, most] = what === "bend" ? [-3.5, 3.5] : [-3, 3];
		next = Math.min(Math.max(next, least), most);
		if (what === "bend") bias[k] = -next;
		else slope[k] = next;
	}

	/** What the mouse, a finger or the arrow keys move: the corner of a unit, or its height one to the right. */
	function handle(k, what) {
		const shape = what === "bend" ? draw("circle", { r: 8 }) : draw("rect", { x: -7, y: -7, width: 14, height: 14 });
		const label = draw("text", { "text-anchor": "middle", y: 4, "aria-hidden": "true", style: "font-size: 11px; pointer-events: none" }, String(k + 1));
		fillShape(shape);
		const [least, most] = what === "bend" ? [-3.5, 3.5] : [-3, 3];
		const element = draw("g", { tabindex: 0, role: "slider", "aria-label": `${what} of unit ${k + 1}`, "aria-valuemin": least, "aria-valuemax": most, style: "cursor: grab; touch-action: none" },
			draw("circle", { r: 15, fill: "transparent" }), shape, label);
		const current = () => (what === "bend" ? -bias[k] : slope[k]);
		const follow = figure.onceAFrame(redraw);
		element.addEventListener("pointerdown", (event) => { stop(); element.setPointerCapture(event.pointerId); element.focus({ preventScroll: true }); event.preventDefault(); });
		element.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false }); // no scrolling from a handle
		element.addEventListener("pointermove", (event) => {
			if (!element.hasPointerCapture(event.pointerId)) return;
			set(k, what, Math.round(20 * chart.at(event)[what === "bend" ? 0 : 1]) / 20);
			follow();
		});
		element.addEventListener("keydown", (event) => {
			const step = { ArrowLeft: -0.1, ArrowDown: -0.1, ArrowRight: 0.1, ArrowUp: 0.1, PageUp: 0.5, PageDown: -0.5 }[event.key];
			if (!step) return;
			event.preventDefault();
			stop();
			set(k, what, Math.round(20 * (current() + step)) / 20);
			redraw();
		});
		chart.element.append(element);
		return element;
	}

	function fillShape(shape) {
		shape.style.cssText = "fill: var(--pst-color-background, #fff); stroke: var(--lf-positive); stroke-width: 2";
	}

	function backpropagate() {
		const t = targets[target.value];
		const y = network.forward(x);
		network.backward(loss.gradient(y, t));
		return loss.value(y, t);
	}

	function redraw() {
		const at_bend = Array.from(bias, (b) => -b);
		const places = column([-3.5, ...at_bend.filter((bend) => bend > -3.5 && bend < 4.5).sort((a, b) => a - b), 4.5]);
		const y = network.forward(places);
		const curve = (height) => Array.from(places.data, (at, n) => [at, height(n)]);
		const units = at_bend.map((_, k) => ({ points: curve((n) => relu.last.y.data[n * K + k] * slope[k]), class: "lf-line-3" }));
		chart.lines([...units,
			{ points: data.x.map((at, n) => [at, data.targets[target.value][n]]), class: "lf-line-2" },
			{ points: curve((n) => y.data[n]), class: "lf-line-1" }]);
		chart.content.lastChild.style.strokeWidth = 3.5;
		bends.forEach((bend, k) => {
			const up = slopes[k];
			const inside = (value, most) => Math.min(Math.max(value, -most), most);
			const at = inside(at_bend[k], 3.5);
			bend.setAttribute("transform", `translate(${chart.place(at, 0).join(" ")})`);
			up.setAttribute("transform", `translate(${chart.place(at + 1, inside(slope[k], 2.4)).join(" ")})`);
			[[bend, at_bend[k]], [up, slope[k]]].forEach(([element, now]) => {
				element.setAttribute("aria-valuenow", now);
				element.setAttribute("aria-valuetext", number(now));
			});
		});
		const L = backpropagate();
		const analytic = [...hidden.db.data, ...output.dW.data];
		rows[0].show([at_bend], { limit: Infinity });
		rows[1].show([[...slope]]);
		rows[2].show([[...hidden.db.data].map((value) => -value)]);
		rows[3].show([[...output.dW.data]]);
		value.textContent = `Loss L = ${number(L)}`;
		const numerical = [hidden.b, output.W].flatMap((parameter) => [...cnnlib.numerical_gradient(() => loss.value(network.forward(x), targets[target.value]), parameter)]);
		const holds = numerical.every((estimate, k) => Math.abs(estimate - analytic[k]) < 1e-6);
		check.show(holds, holds ? "All gradients agree with central differences." : "A gradient differs from its central difference.");
		figure.say(`Loss ${number(L)}. Bends at ${at_bend.map((bend) => number(bend)).join(", ")}; slopes ${[...slope].map((each) => number(each)).join(", ")}.`);
	}

	begin();
	redraw();
});
