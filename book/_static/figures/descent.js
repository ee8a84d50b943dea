/* Chapter 10: gradient descent in a valley; the reader sets start, rate, momentum and curvature. */

liveFigure.define("descent", (figure, data) => {
	"use strict";
	const { draw, fill, make, number } = liveFigure;
	const [shownX, shownY, width, height, shownSteps, manySteps] = [[-3.2, 3.2], [-0.8, 0.8], 400, 270, 40, 400];
	const squared = cnnlib.MeanSquaredError();
	let [start, grip] = [[...data.start], false];

	/* The loss (w₁² + λ w₂²) / 2 is the mean squared error of a dense layer without a bias for two examples, (1, 0) and
	   (0, √λ), whose targets are 0. */
	function valley(curvature) {
		const layer = cnnlib.Dense(2, 1, { initializer: "zeros", dtype: "float64" });
		const x = cnnlib.array([[1, 0], [0, Math.sqrt(curvature)]], "float64");
		const t = cnnlib.zeros([2, 1], "float64");
		layer.W = cnnlib.array(start.map((value) => [value]), "float64");
		return {
			layer,
			get w() { return [...layer.W.data]; },
			loss: () => squared.value(layer.forward(x), t),
			gradient() {
				layer.backward(squared.gradient(layer.forward(x), t));
				return layer.dW;
			},
		};
	}

	/** A walk that goes on by so many steps, or to where it has exploded: its places and losses. */
	function walker(momentum) {
		const place = valley(curvature.value);
		const optimizer = cnnlib.SGD({ learning_rate: rate.value, momentum });
		const path = [[...place.w, place.loss()]];
		return (steps) => {
			for (let k = 0; k < steps && path.at(-1)[2] < 1e30; k++) {
				optimizer.step([[place.layer.W, place.gradient()]]);
				path.push([...place.w, place.loss()]);
			}
			return path;
		};
	}
	const walk = (momentum, steps) => walker(momentum)(steps);

	const distance = ([w1, w2]) => Math.hypot(w1, w2);
	const rate = figure.slider("learning rate η", { min: 0.005, max: 0.2, step: 0.005, value: data.rate }, changed);
	const momentum = figure.slider("momentum μ", { min: 0, max: 0.95, step: 0.05, value: data.momentum }, changed);
	const curvature = figure.slider("curvature λ", { values: [1, 2, 5, 10, 20, 40, 100], value: data.curvature }, changed);
	for (const { element, input } of [rate, momentum, curvature]) [input.style.width, element.firstChild.style.minWidth] = ["7rem", "5.2rem"];
	figure.row(rate.element, momentum.element, curvature.element, figure.button("start again", () => {
		start = [...data.start];
		[rate.value, momentum.value, curvature.value] = [data.rate, data.momentum, data.curvature];
		redraw();
	}));
	const status = figure.add(make("p", { class: "lf-title" }));

	const plane = figure.chart("The valley from above, with its lines of equal loss, and the path to its lowest point",
		{ x: shownX, y: shownY, xlabel: "w₁", ylabel: "w₂", width, height });
	plane.element.setAttribute("role", "group"); // it holds the start, which can be focused
	const chart = figure.chart("The loss over the steps", { x: [0, shownSteps], y: [1e-3, 1e3], xlabel: "step", ylabel: "loss", width: 290, height: 240, log: true });
	figure.row(make("div", { style: "flex: 4 1 300px; min-width: 0" }, plane.element),
		make("div", { style: "flex: 3 1 250px; max-width: 330px; min-width: 0" }, chart.element));
	figure.add(make("p", { class: "lf-note" }, "Drag the ring to start elsewhere, or focus it and use the arrow keys."));

	const cells = [0, 1].map(() => [make("td"), make("td"), make("td")]);
	const head = (scope, text, style) => make("th", { scope, style: `font-size: 0.875rem; ${style}` }, text);
	const table = make("table", { class: "lf-matrix", style: "--lf-cell: 1.8rem" }, make("tbody", {},
		make("tr", {}, head("col", "direction", "text-align: left"), ["curvature", "bound on η", "at the end"].map((text) => head("col", text, "padding: 0 0.4rem; text-align: center; white-space: nowrap"))),
		...["w₁", "w₂"].map((text, d) => make("tr", {}, head("row", text, "font-weight: 400; padding-right: 0.6rem; text-align: left"), cells[d]))));
	const check = figure.check();
	check.element.style.flex = "1 1 12rem";
	figure.row(table, check.element).style.alignItems = "center";

	// The plane: lines of equal loss below the paths, the start and the minimum above

	const under = draw("g", { style: "fill: none; stroke: var(--lf-line); stroke-width: 1; opacity: 0.7" });
	const clip = `descent-${Math.random().toString(36).slice(2)}`;
	const [from, to] = [plane.place(shownX[0], shownY[1]), plane.place(shownX[1], shownY[0])];
	const box = { x: from[0], y: from[1], width: to[0] - from[0], height: to[1] - from[1] };
	plane.element.prepend(draw("defs", {}, draw("clipPath", { id: clip }, draw("rect", box))), under);
	under.setAttribute("clip-path", `url(#${clip})`);
	plane.content.setAttribute("clip-path", `url(#${clip})`);
	chart.element.prepend(draw("defs", {}, draw("clipPath", { id: `${clip}-loss` }, draw("rect", { x: 46, y: 4, width: 238, height: 200 }))));
	chart.content.setAttribute("clip-path", `url(#${clip}-loss)`);
	const dots = draw("g", { "clip-path": `url(#${clip})`, style: "fill: var(--lf-accent)" });
	const ring = draw("g", { tabindex: 0, role: "slider", "aria-label": "start", "aria-valuemin": shownX[0], "aria-valuemax": shownX[1], style: "cursor: move; touch-action: none", "data-part": "start" },
		draw("circle", { r: 20, style: "fill: transparent" }),
		draw("circle", { r: 8, style: "fill: var(--pst-color-background, #fff); stroke: var(--lf-accent); stroke-width: 2.5" }));
	const [middleX, middleY] = plane.place(0, 0);
	const star = Array.from({ length: 10 }, (_, k) => {
		const [size, angle] = [k % 2 ? 3.2 : 8, Math.PI * (k / 5 - 0.5)];
		return `${(middleX + size * Math.cos(angle)).toFixed(1)} ${(middleY + size * Math.sin(angle)).toFixed(1)}`;
	});
	plane.element.append(dots, draw("path", { d: `M ${star.join(" L ")} Z`, style: "fill: var(--lf-text)" }), ring);

	function drawPlane(path, plain) {
		const levels = [0.02, 0.15, 0.5, 1.2, 2.4, 4, 6.5, 10];
		under.replaceChildren(...levels.map((level) => draw("ellipse", {
			cx: middleX, cy: middleY,
			rx: Math.sqrt(2 * level) * box.width / (shownX[1] - shownX[0]),
			ry: Math.sqrt(2 * level / curvature.value) * box.height / (shownY[1] - shownY[0]),
		})));
		const points = (walked) => walked.slice(0, shownSteps + 1).map(([w1, w2]) => [w1, w2]);
		plane.lines([{ points: points(path) }, ...(plain ? [{ points: points(plain), class: "lf-line-2" }] : [])]);
		dots.replaceChildren(...points(path).slice(1).filter(([w1, w2]) => Math.abs(w1) < 4 && Math.abs(w2) < 1)
			.map((at) => { const [cx, cy] = plane.place(...at); return draw("circle", { cx, cy, r: 2.4 }); }));
		ring.setAttribute("transform", `translate(${plane.place(...start).map((k) => k.toFixed(1)).join(" ")})`);
		fill(ring, { "aria-valuenow": +start[0].toFixed(2), "aria-valuetext": `w₁ ${number(start[0])}, w₂ ${number(start[1])}` });
	}

	const inside = (value, [low, high]) => Math.min(Math.max(value, low), high);
	const follow = figure.onceAFrame(() => redraw());
	const lead = (event) => {
		const [w1, w2] = plane.at(event);
		start = [inside(w1, shownX), inside(w2, shownY)];
		follow();
	};
	ring.addEventListener("pointerdown", (event) => { grip = true; ring.setPointerCapture(event.pointerId); });
	ring.addEventListener("pointermove", (event) => { if (grip) lead(event); });
	for (const end of ["pointerup", "pointercancel"]) ring.addEventListener(end, () => { grip = false; });
	ring.addEventListener("keydown", (event) => {
		const move = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] }[event.key];
		if (!move) return;
		event.preventDefault();
		start = [shownX, shownY].map((range, d) => +inside(start[d] + move[d], range).toFixed(4));
		redraw();
	});

	function changed() { redraw(); }

	/** Say what the bound predicts, and see, once the reader has stopped, whether a long walk does so. */
	let pending = null;
	function verify(bound) {
		clearTimeout(pending);
		const near = Math.abs(rate.value / bound - 1) < 0.01;
		const text = near ? "The rate is at the bound: the path neither arrives nor explodes" :
			rate.value < bound ? `The rate is below ${number(bound)}: the path arrives` : `The rate is above ${number(bound)}: the path explodes`;
		check.element.classList.remove("lf-right", "lf-wrong");
		check.element.textContent = `… ${text}.`;
		if (distance(start) === 0) { check.show(true, "The start is the minimum: nothing moves."); return; }
		const go = walker(momentum.value);
		const next = (left) => {
			const path = go(50);
			if (left > 50 && path.at(-1)[2] < 1e30) { pending = setTimeout(next, 0, left - 50); return; }
			const away = distance(path.at(-1));
			check.show(near || (rate.value < bound) === (away < distance(start)), `${text}. After ${path.length - 1} steps it is ${number(away)} from the minimum.`);
			figure.say(`${status.textContent}. ${check.element.textContent}`);
		};
		pending = setTimeout(next, 150, manySteps);
	}

	function redraw() {
		const path = walk(momentum.value, shownSteps);
		const plain = momentum.value > 0 ? walk(0, shownSteps) : null;
		drawPlane(path, plain);
		const losses = (walked) => walked.map(([, , loss], k) => [k, loss]);
		chart.lines([{ points: losses(path) }, ...(plain ? [{ points: losses(plain), class: "lf-line-2" }] : [])]);

		const curvatures = [1, curvature.value];
		const bounds = curvatures.map((each) => 2 * (1 + momentum.value) / each);
		verify(Math.min(...bounds.filter((_, d) => start[d] !== 0))); // where the start is 0, there is no gradient
		const end = path.at(-1);
		cells.forEach(([first, second, third], d) => {
			[first.textContent, second.textContent, third.textContent] = [curvatures[d], bounds[d], end[d]].map((value) => number(value));
		});
		status.textContent = `After ${path.length - 1} steps: loss ${number(end[2])}, ${number(distance(end))} from the minimum` +
			(plain ? ` (dashed, without momentum: ${number(distance(plain.at(-1)))})` : "");
		figure.say(`${status.textContent}. ${check.element.textContent}`);
	}
	redraw();
});
