/* Chapter 1: three numbers place the line of a neuron; the reader moves them, or gradient descent does. */

liveFigure.define("neuron", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;
	const [x, t] = [cnnlib.array(data.x, "float64"), cnnlib.array(data.t.map((target) => [target]), "float64")];
	const dense = cnnlib.Dense(2, 1, { initializer: "zeros", dtype: "float64" });
	const network = cnnlib.Network([dense, cnnlib.Sigmoid()], [2]);
	const squared = cnnlib.MeanSquaredError();
	const names = ["w₁", "w₂", "b"];
	const [shownX, shownY, width, height] = [[0, 1.04], [0.15, 0.67], 400, 290];

	let [history, left, playing, grip] = [[], 0, null, null];
	const values = () => [...dense.W.data, dense.b.data[0]];
	const loss = () => squared.value(network.forward(x), t);
	const pairs = () => [[dense.W, dense.dW], [dense.b, dense.db]];

	function set(next) {
		dense.W = cnnlib.array([[next[0]], [next[1]]], "float64");
		dense.b = cnnlib.array([next[2]], "float64");
	}

	/** The losses of many neurons at once: a layer with one of them in each column. */
	function lossesAt(neurons) {
		const many = cnnlib.Dense(2, neurons.length, { initializer: "zeros", dtype: "float64" });
		many.W = cnnlib.array([0, 1].map((d) => neurons.map((neuron) => neuron[d])), "float64");
		many.b = cnnlib.array(neurons.map((neuron) => neuron[2]), "float64");
		const { data: y } = cnnlib.Sigmoid().forward(many.forward(x));
		const column = cnnlib.zeros([x.length, 1], "float64");
		return neurons.map((_, k) => {
			for (let n = 0; n < x.length; n++) column.data[n] = y[n * neurons.length + k];
			return squared.value(column, t);
		});
	}

	/** The reader has placed the line: a new start of the path. */
	function place(next) {
		stop();
		set(next);
		history = [[...next, loss()]];
		redraw();
	}

	function stop() {
		playing?.stop();
		[playing, left] = [null, 0];
	}

	function step() {
		network.backpropagate(x, t, squared);
		cnnlib.SGD({ learning_rate: rate.value, momentum: 0 }).step(pairs());
		history.push([...values(), loss()]);
	}

	function run() {
		left += 100;
		if (playing?.running) return;
		playing = figure.play(() => {
			for (let k = 0; k < 4 && left > 0; k++, left--) step();
			if (!figure.calm || !left) redraw();
			return left > 0;
		}, 40);
	}

	// Controls

	const sliders = names.map((name, d) => figure.slider(name, {
		min: -30, max: 30, step: 0.25, value: data.start[d], format: () => number(values()[d]),
	}, (value) => place(values().map((old, k) => (k === d ? value : old)))));
	sliders.forEach(({ element, input }) => { [input.style.width, element.firstChild.style.minWidth] = ["7.5rem", "1.4rem"]; });
	figure.row(...sliders.map(({ element }) => element));
	const status = figure.add(make("p", { class: "lf-title" }));

	const plane = figure.chart("The examples, circles for a 0 and squares for a 1, and the line where the neuron changes its mind",
		{ x: shownX, y: shownY, xlabel: "x₁, ink in the centre", ylabel: "x₂, width", width, height });
	const view = figure.select("loss over", { steps: "the steps", 0: names[0], 1: names[1], 2: names[2] }, "steps", () => redraw());
	const curve = figure.chart("The loss", { x: [0, 100], y: [0, 1], ylabel: "loss", width: 290, height: 225 });
	figure.row(make("div", { style: "flex: 4 1 300px; min-width: 0" }, plane.element),
		make("div", { style: "flex: 3 1 250px; max-width: 330px; min-width: 0" }, view.element, curve.element));

	const rate = figure.slider("learning rate η", { values: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100], value: 1 }, () => {});
	figure.row(figure.button("one step", () => { stop(); step(); redraw(); }), figure.button("100 steps", run),
		figure.button("start again", () => place(data.start)), rate.element);

	const cells = names.map(() => [make("td"), make("td")]);
	const head = (scope, text, style) => make("th", { scope, style: `font-size: 0.875rem; ${style}` }, text);
	const table = make("table", { class: "lf-matrix", style: "--lf-cell: 1.8rem" }, make("tbody", {},
		make("tr", {}, head("col", "slope of the loss", "text-align: left"), names.map((name) => head("col", name, "min-width: 4rem; text-align: center"))),
		...["backpropagation", "difference"].map((title, row) => make("tr", {}, head("row", title, "font-weight: 400; padding-right: 0.6rem; text-align: left"), cells.map((pair) => pair[row])))));
	const check = figure.check();
	figure.row(table, check.element).style.alignItems = "center";
	figure.add(make("p", { class: "lf-note" }, "A hollow example gets the wrong answer. The stronger the colour, the surer the neuron."));

	// The plane: the answers as a gradient along w, the examples, the line and its two handles

	const id = `neuron-${Math.random().toString(36).slice(2)}`;
	const shade = draw("linearGradient", { id, gradientUnits: "userSpaceOnUse" });
	const levels = [-6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6];
	const answers = cnnlib.Sigmoid().forward([levels]).data;
	const paint = (y) => `stop-color: var(--lf-${y < 0.5 ? "negative" : "positive"}); stop-opacity: ${Math.abs(y - 0.5).toFixed(3)}`;
	levels.forEach((_, k) => shade.append(draw("stop", { offset: (levels[k] + 6) / 12, style: paint(answers[k]) })));
	const [from, to] = [plane.place(shownX[0], shownY[1]), plane.place(shownX[1], shownY[0])];
	const field = draw("rect", { x: from[0], y: from[1], width: to[0] - from[0], height: to[1] - from[1] });
	const points = data.x.map(([px, py], n) => {
		const [cx, cy] = plane.place(px, py);
		return data.t[n] ? draw("rect", { x: cx - 3, y: cy - 3, width: 6, height: 6 }) : draw("circle", { cx, cy, r: 3.3 });
	});
	const ink = "stroke: var(--lf-text); stroke-width: 2; fill: none";
	const line = draw("path", { style: `${ink}; stroke-dasharray: 6 4`, "data-part": "line" });
	const sides = ["0", "1"].map((text) => draw("text", { "text-anchor": "middle", style: "font-weight: 700; font-size: 15px" }, `says ${text}`));
	const handle = (part, shape) => {
		const dot = draw("circle", { r: 8, style: "fill: var(--pst-color-background, #fff); stroke: var(--lf-accent); stroke-width: 2.5" });
		return draw("g", { "data-part": part, style: `cursor: ${part === "move" ? "move" : "grab"}; touch-action: none` },
			draw("circle", { r: 20, style: "fill: transparent" }), dot, draw("path", { d: shape, style: "fill: none; stroke: var(--lf-accent); stroke-width: 1.8" }));
	};
	const move = handle("move", "M -4 0 H 4 M 0 -4 V 4");
	const turn = handle("turn", "M -3.5 2 A 4 4 0 1 1 3.5 2 M 3.5 2 l 1 -3.4 M 3.5 2 l -3.4 -0.6");
	plane.element.prepend(draw("defs", {}, shade), field);
	plane.element.append(...points, line, ...sides, move, turn);

	/** Where the line enters and leaves the plane, in data coordinates: none, or two points. */
	function ends([w1, w2, b]) {
		const found = [];
		for (const px of shownX) if (w2) found.push([px, -(w1 * px + b) / w2]);
		for (const py of shownY) if (w1) found.push([-(w2 * py + b) / w1, py]);
		const inside = found.filter(([px, py]) => px >= shownX[0] - 1e-9 && px <= shownX[1] + 1e-9 && py >= shownY[0] - 1e-9 && py <= shownY[1] + 1e-9);
		const far = inside.find(([px, py]) => Math.hypot(px - inside[0][0], py - inside[0][1]) > 1e-6);
		return far ? [inside[0], far] : null;
	}

	function drawLine() {
		const now = values();
		// One unit to the right and one up, in pixels, and z's growth by pixel
		const [ux, uy] = [(to[0] - from[0]) / (shownX[1] - shownX[0]), (to[1] - from[1]) / (shownY[1] - shownY[0])];
		const slope = [now[0] / ux, -now[1] / uy];
		const size = slope[0] ** 2 + slope[1] ** 2;
		const middle = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
		const z = now[0] * (shownX[0] + shownX[1]) / 2 + now[1] * (shownY[0] + shownY[1]) / 2 + now[2];
		const at = (level) => slope.map((part, k) => middle[k] + part / size * (level - z));
		if (size > 1e-9) {
			const [[x1, y1], [x2, y2]] = [at(-6), at(6)];
			liveFigure.fill(shade, { x1, y1, x2, y2 });
		}
		const whole = cnnlib.Sigmoid().forward([[z]]).data[0];
		field.style.cssText = size > 1e-9 ? `fill: url(#${id})` : paint(whole).replaceAll("stop-color", "fill").replace("stop-opacity", "fill-opacity");
		const found = size > 1e-9 && ends(now);
		for (const part of [line, move, turn, ...sides]) part.style.display = found ? "" : "none";
		if (!found) return;
		const [first, last] = found.map(([px, py]) => plane.place(px, py));
		line.setAttribute("d", `M ${first.join(" ")} L ${last.join(" ")}`);
		const on = (share) => [first[0] + share * (last[0] - first[0]), first[1] + share * (last[1] - first[1])];
		const [centre, knob] = [on(0.5), on(0.85)];
		const put = (part, [px, py]) => part.setAttribute("transform", `translate(${px.toFixed(1)} ${py.toFixed(1)})`);
		put(move, centre);
		put(turn, grip?.part === "turn" ? grip.screen : knob);
		if (grip?.part === "turn") put(move, plane.place(...grip.pivot));
		const normal = slope.map((part) => part / Math.sqrt(size));
		sides.forEach((text, k) => {
			const away = on(0.25).map((part, d) => part + (k ? 1 : -1) * normal[d] * (16 + 24 * Math.abs(normal[0])));
			text.setAttribute("x", Math.min(Math.max(away[0], from[0] + 24), to[0] - 24));
			text.setAttribute("y", Math.min(Math.max(away[1] + 5, from[1] + 14), to[1] - 6));
		});
	}

	function drag(part, group) {
		const follow = figure.onceAFrame(() => {
			if (!grip) return;
			const [w1, w2] = values();
			if (grip.part === "move") place([w1, w2, -(w1 * grip.at[0] + w2 * grip.at[1])]);
			else {
				const away = [grip.at[0] - grip.pivot[0], grip.at[1] - grip.pivot[1]];
				const size = Math.hypot(...away);
				if (size < 0.02) return;
				const keep = Math.hypot(w1, w2) / size * (-away[1] * w1 + away[0] * w2 < 0 ? -1 : 1);
				const next = [-away[1] * keep, away[0] * keep];
				place([...next, -(next[0] * grip.pivot[0] + next[1] * grip.pivot[1])]);
			}
		});
		const inside = (value, [low, high]) => Math.min(Math.max(value, low), high);
		const read = (event) => {
			const [px, py] = plane.at(event);
			grip.at = [inside(px, shownX), inside(py, shownY)];
			grip.screen = plane.place(...grip.at);
		};
		group.addEventListener("pointerdown", (event) => {
			event.preventDefault();
			group.setPointerCapture(event.pointerId);
			const found = ends(values());
			grip = { part, pivot: [(found[0][0] + found[1][0]) / 2, (found[0][1] + found[1][1]) / 2] };
			read(event);
		});
		group.addEventListener("pointermove", (event) => { if (grip?.part === part) { read(event); follow(); } });
		for (const end of ["pointerup", "pointercancel"])
			group.addEventListener(end, () => { grip = null; requestAnimationFrame(drawLine); });
	}
	drag("move", move);
	drag("turn", turn);

	// The loss: over the steps, or over one parameter while the others stay

	const dot = draw("circle", { r: 5, style: "fill: var(--lf-accent); stroke: var(--pst-color-background, #fff); stroke-width: 1.5", "data-part": "now" });
	curve.element.append(dot);

	function drawLoss(now, value, slopes) {
		const put = (px) => {
			const [cx, cy] = curve.place(px, value);
			liveFigure.fill(dot, { cx, cy });
		};
		if (view.value === "steps") {
			curve.range([0, 1.05 * Math.max(100, history.length - 1)]);
			curve.lines([{ points: history.map((entry, k) => [k, entry[3]]) }]);
			curve.element.setAttribute("aria-label", `The loss over ${history.length - 1} steps`);
			put(history.length - 1);
			return;
		}
		const d = +view.value;
		const places = Array.from({ length: 81 }, (_, k) => -30 + 0.75 * k);
		const losses = lossesAt(places.map((place) => now.map((old, k) => (k === d ? place : old))));
		const points = places.map((place, k) => [place, losses[k]]);
		const reach = Math.min(6, 0.15 / Math.abs(slopes[d])); // of the tangent
		curve.range([-30, 30]);
		curve.lines([{ points }, { points: history.map((entry) => [entry[d], entry[3]]), class: "lf-line-2" },
			{ points: [-reach, reach].map((away) => [now[d] + away, value + slopes[d] * away]), class: "lf-line-3" }]);
		curve.element.setAttribute("aria-label", `The loss over ${names[d]}, its slope ${number(slopes[d])} at ${number(now[d])}, and the path so far`);
		put(now[d]);
	}

	function redraw() {
		const now = values();
		const [value, y] = network.backpropagate(x, t, squared);
		const slopes = [...dense.dW.data, dense.db.data[0]];
		const differences = [dense.W, dense.b].flatMap((parameter) => [...cnnlib.numerical_gradient(loss, parameter)]);
		const right = Array.from(y.data, (answer, n) => (answer > 0.5) === (data.t[n] === 1));
		points.forEach(({ style, dataset }, n) => {
			if (dataset.right === String(right[n])) return;
			const hue = `var(--lf-${data.t[n] ? "positive" : "negative"})`;
			[style.fill, style.stroke] = right[n] ? [hue, "var(--pst-color-background, #fff)"] : ["var(--pst-color-background, #fff)", hue];
			dataset.right = right[n];
		});
		sliders.forEach((slider, d) => { slider.value = now[d]; });
		cells.forEach(([ours, theirs], d) => { ours.textContent = number(slopes[d]); theirs.textContent = number(differences[d]); });
		const largest = Math.max(...slopes.map(Math.abs), ...differences.map(Math.abs));
		const agree = slopes.every((slope, d) => Math.abs(slope - differences[d]) <= 1e-6 * largest + 1e-9);
		check.show(agree, agree ? "Both agree." : "They differ: the gradient is wrong.");
		drawLine();
		drawLoss(now, value, slopes);
		const share = cnnlib.accuracy(y, t);
		status.textContent = `Step ${history.length - 1}: loss ${number(value)}, ${Math.round(100 * share)} % right`;
		figure.say(status.textContent);
	}
	place(data.start);
});
