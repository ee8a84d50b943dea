/* Chapter 11: one batch of a small network, by presses: forward, loss, backward, update. Which array changes when? */

liveFigure.define("training-step", (figure, data) => {
	"use strict";
	const { make, number } = liveFigure;
	const array = (values) => cnnlib.array(values, "float64");
	const loss = cnnlib.SoftmaxCrossEntropy();
	let first, relu, second, values, step, batches, batch, at_update;

	const LINES = {
		forward: "y = scores.forward(x)",
		loss: "dy = loss.gradient(y, t)",
		backward: "scores.backward(dy)",
		update: "optimizer.step(pairs)",
	};
	// What one press does: [phase, what it says, the work, which returns the arrays that change]
	const STEPS = [
		["forward", "The first layer computes its y from x.", () => {
			batch = batches++ % data.x.length;
			return { x: array(data.x[batch]), t: array(data.t[batch]), y0: first.forward(data.x[batch]) };
		}],
		["forward", "ReLU computes its y from the y before.", () => ({ y1: relu.forward(values.y0) })],
		["forward", "The last layer computes its y, the scores.", () => ({ y2: second.forward(values.y1) })],
		["loss", "The loss compares the scores with t: a number, and dy of the last layer.", () => ({ L: array([[loss.value(values.y2, values.t)]]), dy2: loss.gradient(values.y2, values.t) })],
		["backward", "The last layer computes dW and db from its dy, and dy of the layer before.", () => ({ dy1: second.backward(values.dy2), dW2: second.dW, db2: second.db })],
		["backward", "ReLU lets dy pass where its input was positive.", () => ({ dy0: relu.backward(values.dy1) })],
		["backward", "The first layer computes dW and db.", () => { first.backward(values.dy0); return { dW0: first.dW, db0: first.db }; }],
		["update", "Every W and b moves by −rate · gradient. All else still belongs to the old weights.", () => {
			at_update = values.L.data[0];
			cnnlib.SGD(rate.value, 0).step([[first.W, first.dW], [first.b, first.db], [second.W, second.dW], [second.b, second.db]]);
			return { W0: first.W, b0: first.b, W2: second.W, b2: second.b };
		}],
	];

	const next = figure.button("", () => press(true));
	const small = figure.button("One layer only", () => press(false));
	const rate = figure.slider("rate", { values: data.rates, value: data.rate }, () => {});
	const many = figure.button("50 batches", () => {
		for (let rest = 50 * STEPS.length - step; rest > 0; rest--) work();
		show("Fifty batches later.", Object.keys(values));
	});
	figure.row(next, small, many, figure.button("Back to the start", begin), rate.element);

	const chips = Object.entries(LINES).map(([phase, line]) => make("li", { "data-phase": phase, style: "border-left: 4px solid transparent; padding-left: 0.5rem" }, make("span", {}, phase), " ", make("code", { style: "font-size: 0.8125rem" }, line)));
	const [told, check, after] = [make("p", { class: "ts-told", style: "min-height: 1.4em" }), figure.check(), make("p", { class: "lf-note ts-after", style: "min-height: 1.4em" })];
	check.element.style.minHeight = "1.4em";
	figure.row(make("ol", { style: "flex: 1 1 17rem; list-style: none; margin: 0; padding: 0", "aria-label": "The four steps of training" }, chips),
		make("div", { class: "lf-group", style: "flex: 1 1 17rem" }, told, check.element, after));

	const boxes = {};
	const shapes = { x: [2, 2], t: [2, 2], L: [1, 1], y0: [2, 3], W0: [2, 3], b0: [1, 3], y1: [2, 3], y2: [2, 2], W2: [3, 2], b2: [1, 2] };
	function card(title, names) {
		return make("div", { class: "lf-group", role: "group", "aria-label": title, style: "gap: 0.3rem" }, make("p", { class: "lf-title" }, title), names.map((name) => {
			const [rows, columns] = shapes[name] ?? shapes[name.slice(1)];
			const symbol = name.replace(/\d/, "");
			const matrix = figure.matrix(`${symbol} of ${title}`, Array.from({ length: rows }, () => Array(columns).fill(NaN)), { size: "1.6rem" });
			matrix.element.style.cssText += `table-layout: fixed; width: ${3.6 * columns}rem`;
			const label = make("p", { style: "font-size: 0.875rem" }, symbol);
			boxes[name] = { matrix, label, symbol, rows, columns };
			return make("div", {}, label, matrix.element);
		}));
	}
	const cards = figure.row(card("batch and loss", ["x", "t", "L"]), card("Dense, first", ["y0", "W0", "b0", "dy0", "dW0", "db0"]),
		card("ReLU", ["y1", "dy1"]), card("Dense, last", ["y2", "W2", "b2", "dy2", "dW2", "db2"]));
	cards.style.gap = "0.75rem 0.9rem";

	function begin() {
		[first, relu, second] = [cnnlib.Dense(2, 3, "zeros", { dtype: "float64" }), cnnlib.ReLU(), cnnlib.Dense(3, 2, "zeros", { dtype: "float64" })];
		[first.W, second.W, first.b, second.b] = [array(data.W0), array(data.W2), array(data.b0), array(data.b2)];
		[step, batches, at_update] = [0, 0, null];
		values = { x: array(data.x[0]), t: array(data.t[0]), W0: first.W, b0: first.b, W2: second.W, b2: second.b };
		show("Two examples, and a network that has seen nothing yet.", []);
	}

	function work() {
		const changed = STEPS[step][2]();
		Object.assign(values, changed);
		step = (step + 1) % STEPS.length;
		return Object.keys(changed);
	}

	/** One step, or all steps of a phase. */
	function press(whole) {
		const [phase] = STEPS[step];
		const [changed, texts] = [[], []];
		do {
			texts.push(STEPS[step][1]);
			changed.push(...work());
		} while (whole && STEPS[step][0] === phase);
		show(texts.length > 1 ? `${phase}: ${texts.length} layers, ${phase === "forward" ? "first to last" : "last to first"}.` : texts[0], changed);
	}

	/** The loss of the batch with the weights as they are now, without touching what the layers keep. */
	function loss_now() {
		const copy = cnnlib.Network([cnnlib.Dense(2, 3, "zeros", { dtype: "float64" }), cnnlib.ReLU(), cnnlib.Dense(3, 2, "zeros", { dtype: "float64" })], [2]);
		[copy.layers[0].W, copy.layers[0].b, copy.layers[2].W, copy.layers[2].b] = [first.W, first.b, second.W, second.b];
		return loss.value(copy.forward(values.x), values.t);
	}

	function show(text, changed) {
		const done = STEPS[(step + STEPS.length - 1) % STEPS.length][0];
		for (const chip of chips) {
			const now = changed.length > 0 && chip.dataset.phase === done;
			chip.style.borderLeftColor = now ? "var(--lf-accent)" : "transparent";
			chip.style.fontWeight = now ? 600 : 400;
			if (now) chip.setAttribute("aria-current", "step");
			else chip.removeAttribute("aria-current");
		}
		next.textContent = `Next: ${STEPS[step][0]}`;
		for (const [name, { matrix, label, symbol, rows, columns }] of Object.entries(boxes)) {
			const found = values[name];
			const isNew = changed.includes(name);
			const shown = found ? found.reshape(rows, columns).toNested() : Array.from({ length: rows }, () => Array(columns).fill(NaN));
			matrix.show(shown, { text: (value) => (Number.isNaN(value) ? "" : number(value, 2)) });
			label.textContent = isNew ? `${symbol} ← new` : symbol;
			label.style.fontWeight = isNew ? 600 : 400;
			matrix.element.style.outline = isNew ? "2.5px solid var(--lf-accent)" : "none";
		}
		told.textContent = text;
		check.element.className = "lf-check";
		check.element.textContent = after.textContent = "";
		if (STEPS[step][0] === "update") {
			const pairs = [[first.W, values.dW0], [first.b, values.db0], [second.W, values.dW2], [second.b, values.db2]];
			const holds = pairs.every(([parameter, gradient]) => cnnlib.numerical_gradient(loss_now, parameter).every((estimate, k) => Math.abs(estimate - gradient.data[k]) < 1e-6));
			check.show(holds, holds ? "Every dW and db agrees with central differences." : "A gradient differs from its central difference.");
		}
		if (done === "update" && changed.length)
			after.textContent = `Loss of this batch: ${number(at_update)} before the update, ${number(loss_now())} with the new weights.`;
		figure.say(`${text} ${changed.length ? `New: ${changed.map((name) => boxes[name].symbol).join(", ")}.` : ""} ${values.L ? `Loss ${number(values.L.data[0])}.` : ""}`);
	}
	begin();
});
