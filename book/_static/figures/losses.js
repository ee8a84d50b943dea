/* Chapter 9: scores become probabilities and p - t; two losses and their slopes; and what float32 makes of each form. */

liveFigure.define("losses", (figure, data) => {
	"use strict";
	const { draw, make, number, tint } = liveFigure;
	const M = data.z.length;
	const z = (m) => `z${"₀₁₂₃₄"[m]}`;
	let [target, moved] = [data.target, data.target]; // `moved`: the score over which the curves are drawn
	let scale = 1; // of all scores

	const row = (scores, dtype = "float64") => cnnlib.array([scores], dtype);
	const targets = (dtype = "float64") => cnnlib.one_hot([target], M, dtype);
	const entropy = cnnlib.SoftmaxCrossEntropy();
	const squared = cnnlib.MeanSquaredError();
	const pieces = cnnlib.CategoricalCrossEntropy();
	const softmax = cnnlib.Softmax();

	// Each loss: its value, and its gradient with respect to the scores.
	const LOSSES = [
		{ name: "Cross-entropy", line: "lf-line-1", value: (s, t) => entropy.value(s, t), gradient: (s, t) => entropy.gradient(s, t) },
		{
			name: "Squared error", line: "lf-line-2",
			value: (s, t) => squared.value(softmax.forward(s), t),
			gradient: (s, t) => softmax.backward(squared.gradient(softmax.forward(s), t)),
		},
	];

	// The classes: target, score, probability, p - t

	const later = figure.onceAFrame(redraw);
	const name = `lf-target-${Math.random().toString(36).slice(2)}`;
	const classes = data.z.map((value, m) => {
		const score = figure.slider(`score ${z(m)}`, { min: -10, max: 10, step: 0.1, value, format: (score) => number(scale * score) }, () => { moved = m; later(); });
		score.element.style.flexWrap = "nowrap";
		score.input.style.width = "min(11rem, 26vw)";
		const caption = score.element.querySelector("label");
		caption.replaceChildren(make("span", { class: "lf-hidden" }, "score "), z(m));
		const radio = make("input", { type: "radio", name, checked: m === target, "aria-label": `class ${m} is the target`,
			style: "accent-color: var(--lf-accent); height: 1.25rem; width: 1.25rem; margin: 0", onchange: () => { target = m; later(); } });
		const t = make("span", {});
		const cell = (...children) => make("td", { style: "border: 0; padding: 0.1rem 0.3rem; text-align: center" }, ...children);
		const bar = () => make("td", { style: "font-variant-numeric: tabular-nums; min-width: min(6.5rem, 15vw); text-align: center" });
		const [p, pull] = [bar(), bar()];
		const chosen = make("span", { style: "align-items: center; display: inline-flex; gap: 0.35rem" }, radio, t);
		return { score, radio, t, p, pull, line: make("tr", {}, cell(chosen), cell(score.element), p, pull) };
	});
	const head = (text) => make("th", { scope: "col", style: "border: 0; font-size: 0.875rem; padding: 0 0.3rem 0.2rem; text-align: center" }, text);
	figure.add(make("p", { class: "lf-note" }, "Move the scores, and choose the target. Or drag along a curve."));
	figure.add(make("table", { class: "lf-matrix lf-classes" },
		make("thead", {}, make("tr", {}, head("target t"), head("score z"), head("p"), head("p − t"))),
		make("tbody", {}, classes.map(({ line }) => line))));
	const raise = figure.button("all scores + 1", () => { classes.forEach(({ score }) => { score.value = Math.round(10 * score.value + 10) / 10; }); redraw(); });
	figure.row(raise,
		figure.button("as at the beginning", () => {
			data.z.forEach((value, m) => { classes[m].score.value = value; });
			[target, moved, times.value] = [data.target, data.target, 1];
			scaled(1);
			redraw();
		}));

	// The curves over one score

	const charts = ["loss", "slope"].map((kind) => {
		const chart = figure.chart(`The ${kind} of both losses over one score`, { x: [-10, 10], y: kind === "loss" ? [0, 8] : [-1.1, 1.1], width: 330, height: 190, xlabel: "score" });
		const title = make("p", { class: "lf-title" });
		chart.element.style.cursor = "ew-resize";
		chart.element.style.touchAction = "pan-y";
		const move = (event) => {
			const { score } = classes[moved];
			score.value = Math.round(Math.min(Math.max(chart.at(event)[0] / scale, -10), 10) * 10) / 10;
			later();
		};
		chart.element.addEventListener("pointerdown", (event) => { chart.element.setPointerCapture(event.pointerId); move(event); });
		chart.element.addEventListener("pointermove", (event) => { if (chart.element.hasPointerCapture(event.pointerId)) move(event); });
		return { kind, chart, title, element: make("div", { style: "flex: 1 1 17rem; max-width: 26rem; min-width: 0" }, title, chart.element) };
	});
	figure.row(...charts.map(({ element }) => element));
	const checks = LOSSES.map((loss) => {
		const check = figure.check();
		const swatch = draw("svg", { width: 34, height: 10, "aria-hidden": "true", style: "flex: none" }, draw("path", { d: "M 1 5 H 33", class: `lf-line ${loss.line}` }));
		figure.add(make("div", { style: "align-items: center; display: flex; gap: 0.5rem" }, swatch, check.element));
		return check;
	});

	// Three forms of the same loss, in float32

	const times = figure.slider("all scores times", { values: [1, 5, 10, 20], value: 1 }, (value) => { scaled(value); later(); });
	function scaled(value) {
		scale = value;
		classes.forEach(({ score }) => { score.value = score.value; }); // as it is shown
		raise.textContent = `all scores + ${scale}`;
	}
	const FORMS = ["plain exp", "two pieces", "as one"];
	const th = (text, scope) => make("th", { scope, style: "border: 0; font-size: 0.875rem; padding: 0.2rem 0.5rem 0.2rem 0; text-align: " + (scope === "row" ? "left" : "center") }, text);
	const lines = ["loss", ...data.z.map((_, m) => `∂L/∂${z(m)}`), "right?"].map((title) => ({ title, cells: FORMS.map(() => make("td", { style: "min-width: min(6.5rem, 19vw)" })) }));
	const table = make("table", { class: "lf-matrix lf-forms" },
		make("thead", {}, make("tr", {}, make("td", { style: "border: 0" }), FORMS.map((form) => th(form, "col")))),
		make("tbody", {}, lines.map(({ title, cells }) => make("tr", {}, th(title, "row"), cells))));
	figure.add(figure.group("The same cross-entropy in float32", times.element, table,
		make("p", { class: "lf-note" }, "Plain exp: exp(z), divided by the sum, then the logarithm. Two pieces: Softmax, then CategoricalCrossEntropy. As one: SoftmaxCrossEntropy.")));

	/** What a first attempt would write, each step rounded to float32, without any care. */
	function plain(scores) {
		const f = Math.fround;
		const e = scores.map((score) => f(Math.exp(f(score))));
		const sum = e.reduce((a, b) => f(a + b), 0);
		const p = e.map((value) => f(value / sum));
		const dp = p.map((value, m) => (m === target ? f(-1 / value) : 0));
		const mean = p.reduce((a, value, m) => f(a + f(value * dp[m])), 0);
		return [f(-Math.log(p[target])), ...p.map((value, m) => f(value * f(dp[m] - mean)))];
	}

	function inFloat32(scores, truth) {
		const [s, t] = [row(scores, "float32"), targets("float32")];
		const p = softmax.forward(s);
		const results = [
			plain(scores),
			[pieces.value(p, t), ...softmax.backward(pieces.gradient(p, t)).data],
			[entropy.value(s, t), ...entropy.gradient(s, t).data],
		];
		return results.map((values, form) => {
			const right = values.every((value, k) => Math.abs(value - truth[k]) <= 1e-4 * Math.max(1, Math.abs(truth[k])));
			values.forEach((value, k) => { lines[k].cells[form].textContent = number(value); });
			lines.at(-1).cells[form].textContent = right ? "✓" : "✗";
			lines.at(-1).cells[form].className = `lf-check ${right ? "lf-right" : "lf-wrong"}`;
			return right;
		});
	}

	/** [score, loss, slope] as one score goes from one end to the other: a batch, whose gradients have the factor 1/N. */
	function curve(loss, scores) {
		const N = 101;
		const steps = Array.from({ length: N }, (_, k) => scale * (k / 5 - 10));
		const s = cnnlib.array(steps.map((step) => scores.map((score, m) => (m === moved ? step : score))), "float64");
		const slopes = loss.gradient(s, cnnlib.one_hot(Array(N).fill(target), M, "float64")).data;
		const t = targets();
		return steps.map((step, n) => [step, loss.value(s.slice(n, n + 1), t), N * slopes[n * M + moved]]);
	}

	let drawn = {}; // the curves, and what they depend on
	const axes = [1, 1]; // the scale of each chart
	const filled = (from, to, color) => `linear-gradient(to right, transparent ${from}%, ${color} ${from}% ${to}%, transparent ${to}%)`;

	function redraw() {
		raise.disabled = classes.some(({ score }) => score.value > 9);
		const scores = classes.map(({ score }) => scale * score.value);
		const [s, t] = [row(scores), targets()];
		const p = softmax.forward(s).data;
		const pull = entropy.gradient(s, t).data;
		classes.forEach((each, m) => {
			each.radio.checked = m === target;
			each.t.textContent = m === target ? "1" : "0";
			each.p.textContent = number(p[m]);
			each.p.style.background = filled(0, 100 * p[m], tint(0.75, 1));
			each.pull.textContent = `${pull[m] > 0 ? "+" : ""}${number(pull[m])}`;
			each.pull.style.background = filled(Math.min(50, 50 + 50 * pull[m]), Math.max(50, 50 + 50 * pull[m]), tint(0.75 * Math.sign(pull[m]), 1));
		});

		const key = `${[target, moved, scale, ...scores.map((score, m) => (m === moved ? "" : score))]}`;
		if (drawn.key !== key) drawn = { key, curves: LOSSES.map((loss) => curve(loss, scores)) };
		const here = LOSSES.map((loss) => [loss.value(s, t), loss.gradient(s, t).data[moved]]);
		charts.forEach(({ kind, chart, title }, k) => {
			title.textContent = k ? `The slope ∂L/∂${z(moved)}` : `The loss L as ${z(moved)} changes`;
			if (scale !== axes[k]) chart.range([-10 * scale, 10 * scale], k ? null : [0, 8 * scale]);
			axes[k] = scale;
			chart.lines(LOSSES.map((loss, which) => ({ class: loss.line, points: drawn.curves[which].map((point) => [point[0], point[1 + k]]) })));
			const [left, floor] = chart.place(scores[moved], k ? -1.1 : 0);
			const [, ceiling] = chart.place(scores[moved], k ? 1.1 : 8 * scale);
			chart.content.append(draw("path", { d: `M ${left} ${ceiling} V ${floor}`, style: "stroke: var(--lf-text); stroke-dasharray: 2 3" }));
			if (k) chart.content.prepend(draw("path", { d: `M ${chart.place(-10 * scale, 0).join(" ")} H ${chart.place(10 * scale, 0)[0]}`, style: "stroke: var(--lf-line)" }));
			here.forEach((values, which) => {
				const [cx, cy] = chart.place(scores[moved], values[k]);
				const color = which ? "var(--lf-negative)" : "var(--lf-accent)";
				if (cy >= ceiling - 8) chart.content.append(draw(which ? "rect" : "circle", { ...(which ? { x: cx - 4, y: cy - 4, width: 8, height: 8 } : { cx, cy, r: 5 }), style: `fill: ${color}`, "data-at": kind }));
			});
		});
		LOSSES.forEach((loss, which) => {
			const [value, slope] = here[which];
			const [measured] = cnnlib.numerical_gradient(() => loss.value(s, t), s, [moved]);
			checks[which].show(Math.abs(measured - slope) <= 1e-6 + 1e-9 * value,
				`${loss.name} ${number(value)}, slope ${number(slope)}; central difference ${number(Math.abs(measured) < 1e-9 ? 0 : measured)}`);
		});
		const right = inFloat32(scores, [here[0][0], ...pull]);
		const list = (numbers) => Array.from(numbers, (value) => number(value)).join(", ");
		figure.say(`Scores ${list(scores)}; probabilities ${list(p)}; p minus t ${list(pull)}. ${checks.map(({ element }) => element.textContent).join(". ")}. `
			+ `In float32: ${FORMS.map((form, k) => `${form} ${right[k] ? "right" : "wrong"}`).join(", ")}.`);
	}
	redraw();
});
