/* Chapter 13: LeNet-5 learns the small digits of the book, in a worker, so that the page stays responsive. */

liveFigure.define("training", (figure, data) => {
	"use strict";
	const { fill, make, number } = liveFigure;
	const FIELD = 28;

	/* All that computes: see `background` in digits.js. `message.kind` says what to do. */
	function* learn(cnnlib, state, message) {
		const { backpropagate, images_of, letters, predict } = cnnlib.digits;
		if (message.kind === "reset") {
			if (message.images) {
				const x = images_of(message.images);
				Object.assign(state, { x: x.slice(0, message.train), held_out: x.slice(message.train), labels: letters(message.labels), described: message.network });
			}
			state.rng = cnnlib.default_rng(message.seed);
			const { layers, ...rest } = state.described;
			// Seed 0 has the weights that came with the page; any other draws its own.
			const drawn = () => layers.map(({ class: name, config }) => ({ class: name, config: { ...config, rng: state.rng } }));
			state.network = cnnlib.Network.fromJSON({ ...rest, layers: message.seed ? drawn() : layers });
			state.optimizer = cnnlib.SGD(0.02, 0.9);
			state.queue = [];
		}
		const { network, optimizer, x, held_out, labels } = state;
		const first = network.layers[0];

		if (message.kind === "step") {
			if (!state.queue.length) state.queue = state.rng.permutation(x.length);
			const batch = state.queue.splice(0, message.batch_size);
			const [loss, sums] = yield* backpropagate(network, x.take(batch), batch.map((k) => labels[k]));
			optimizer.learning_rate = message.learning_rate;
			optimizer.step(Object.entries(network.parameters()).map(([name, parameter]) => [parameter, sums[name]]));
			return { loss, images: batch.length, W: first.W.data.slice(), dW: sums.W0.data };
		}

		// "reset" and "judge": the held-out digits
		const p = yield* predict(network, held_out);
		const t = [...labels.slice(x.length)];
		const rows = t.map((_, n) => p.slice(n, n + 1).data);
		const answers = rows.map(cnnlib.argmax);
		const loss = cnnlib.CategoricalCrossEntropy().value(p, cnnlib.one_hot(t, 10, "float32"));
		return { loss, answers, sure: rows.map((values, n) => values[t[n]]), right: answers.filter((answer, n) => answer === t[n]).length, W: first.W.data.slice() };
	}

	// What is shown, and what is drawn

	const EVERY = 512; // images between two looks at the held-out digits
	const held_out = data.labels.length - data.train;
	let run = null; // what has been computed since the last reset
	let before = null; // the run before this one
	let wanted = ""; // "run", "step", or nothing
	let fresh = true; // a reset is due
	let busy = false; // `work` is under way
	let learner = null;
	let held = null; // what came after the pause: shown when the run goes on

	const start = figure.button("Start", () => (wanted === "run" ? pause() : want("run")), { style: "min-width: 6rem" });
	const step = figure.button("one step", () => want("step"));
	const reset = figure.button("reset", restart);
	const rate = figure.slider("learning rate", { values: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1], value: 0.02 }, () => {});
	const size = figure.slider("batch size", { values: [4, 8, 16, 32, 64, 128], value: 16 }, () => {});
	const seed = figure.slider("seed", { values: [0, 1, 2, 3, 4], value: 0 }, restart);
	const falling = figure.checkbox("let the rate fall", true, () => {});
	figure.row(start, step, reset);
	for (const { element } of [rate, size, seed]) element.firstChild.style.minWidth = "6.5rem";
	for (const pair of [[rate, falling], [size, seed]])
		figure.row(...pair.map(({ element }) => fill(element, { style: "flex: 0 1 20rem" })));
	const status = figure.add(make("p", { class: "lf-status", style: "min-height: 2.8em" }));
	const goal = figure.check();
	goal.element.style.minHeight = "1.4em";
	figure.add(goal.element);

	const losses = figure.chart("The loss of every batch and of the held-out digits, by epoch", { x: [0, 2], y: [0.001, 10], xlabel: "epochs", ylabel: "loss", width: 330, height: 210, log: true });
	const rights = figure.chart("The share of held-out digits that are read correctly, by epoch", { x: [0, 2], y: [0, 100], xlabel: "epochs", ylabel: "held-out accuracy (%)", width: 330, height: 210 });
	figure.row(...[losses, rights].map((chart) => make("div", { style: "flex: 1 1 300px; min-width: 0" }, chart.element)));

	figure.add(make("p", { class: "lf-note" }, "Solid: every batch. Dashed: the held-out digits. Dotted: the held-out digits in the run before the last reset."));

	const maps = (name) => Array.from({ length: 6 }, (_, f) => figure.picture(`${name} of filter ${f}`, { height: 5, width: 5, scale: 8, signed: true }));
	const [W, dW] = [maps("weights"), maps("gradient")];
	const line = (title, pictures) => {
		const most = make("span", { class: "lf-note" });
		for (const { element } of pictures) element.style.width = "100%";
		return [make("div", { style: "align-items: center; display: grid; gap: 0.3rem; grid-template-columns: 2rem repeat(6, minmax(0, 42px)) 6rem" },
			make("span", {}, title), ...pictures.map(({ element }) => element), most), most];
	};
	const [[filters, largestW], [gradients, largestdW]] = [line("W", W), line("dW", dW)];
	figure.row(figure.group("The six filters of the first layer, and their gradients", filters, gradients, figure.scale()));

	const shown = data.shown.map((n) => {
		const picture = figure.picture(`held-out digit ${n}, a ${data.labels[data.train + n]}`, { height: FIELD, width: FIELD, scale: 1 });
		picture.element.style.width = "100%";
		const answer = make("span", { style: "font-size: 0.875rem; line-height: 1.2; text-align: center" }, "?");
		return { n, picture, answer, element: make("div", { style: "display: flex; flex-direction: column" }, picture.element, answer) };
	});
	figure.add(figure.group("Twenty of the held-out digits, and what the network reads",
		make("div", { style: "display: grid; gap: 0.3rem; grid-template-columns: repeat(10, minmax(0, 3.2rem))" }, shown.map(({ element }) => element))));
	for (const { n, picture } of shown) {
		const text = data.images.slice((data.train + n) * 64, (data.train + n + 1) * 64);
		picture.show(cnnlib.digits.upscale(cnnlib.digits.letters(text)), 255);
	}

	const percent = (right) => `${number(100 * right / held_out)} %`;
	const redraw = figure.onceAFrame(() => {
		if (!run) return;
		const epochs = run.images / data.train;
		const last = run.judged.at(-1);
		const batch = run.losses.length ? `, batch loss ${number(run.losses.at(-1)[1])}` : "";
		status.textContent = `Step ${run.losses.length}, epoch ${number(epochs)}${batch}. Held-out digits read: ${last[2]} of ${held_out}, ${percent(last[2])}.`;
		if (run.reached) goal.show(true, run.reached);
		goal.element.style.visibility = run.reached ? "visible" : "hidden";
		const end = Math.max(2, Math.ceil(epochs), before ? Math.ceil(before.images / data.train) : 0);
		losses.range([0, end], null);
		rights.range([0, end], null);
		const accuracy = ({ judged }) => judged.map(([at, , right]) => [at, 100 * right / held_out]);
		const clip = (loss) => Math.min(Math.max(loss, 0.001), 10); // what the chart can show
		const thin = (points) => points.filter((_, k) => k % Math.ceil(points.length / 400) === 0);
		losses.lines([
			...(before ? [{ points: before.judged.map(([at, loss]) => [at, clip(loss)]), class: "lf-line-3" }] : []),
			{ points: thin(run.losses).map(([at, loss]) => [at, clip(loss)]), class: "lf-line-1 lf-thin" },
			{ points: run.judged.map(([at, loss]) => [at, clip(loss)]), class: "lf-line-2" },
		]);
		rights.lines([
			...(before ? [{ points: accuracy(before), class: "lf-line-3" }] : []),
			{ points: accuracy(run), class: "lf-line-2" },
		]);
		showAll(W, run.W, largestW);
		showAll(dW, run.dW, largestdW);
		for (const { n, answer } of shown) {
			const right = run.answers[n] === +data.labels[data.train + n];
			answer.textContent = `${right ? "✓" : "✗"} ${run.answers[n]}`;
			answer.className = right ? "lf-check lf-right" : "lf-check lf-wrong";
		}
	});

	function want(what) {
		wanted = what;
		start.textContent = what === "run" ? "Pause" : "Start";
		work();
	}

	function pause() {
		want("");
		if (run) figure.say(`Paused. ${status.textContent}`);
	}

	function restart() {
		fresh = true;
		want("");
	}

	async function work() {
		if (busy) return;
		busy = true;
		learner ??= figure.worker = cnnlib.digits.background(learn);
		while (fresh || wanted) {
			if (fresh) {
				fresh = false;
				const first = run ? {} : { images: data.images, labels: data.labels, train: data.train, network: data.network };
				const result = await learner.run({ kind: "reset", seed: seed.value, ...first });
				if (run?.losses.length) before = run;
				run = { images: 0, losses: [], judged: [], reached: null, seconds: 0 };
				held = null;
				look(result);
			} else if (held) {
				held();
				held = null;
			} else {
				const began = performance.now();
				const due = run.images - run.looked >= (wanted === "step" ? 1 : EVERY);
				const learning_rate = rate.value / (falling.value ? 1 + run.images / data.train / 2 : 1);
				const result = await learner.run(due ? { kind: "judge" } : { kind: "step", batch_size: size.value, learning_rate });
				if (fresh) continue;
				run.seconds += (performance.now() - began) / 1000;
				const show = () => (due ? look(result) : count(result));
				if (wanted) show();
				else held = show;
			}
		}
		busy = false;
	}

	function count({ loss, images, W, dW }) {
		run.images += images;
		run.losses.push([run.images / data.train, loss]);
		Object.assign(run, { W, dW });
		if (!figure.calm || wanted === "step") redraw();
	}

	function look({ loss, right, answers, sure, W }) {
		const epochs = run.images / data.train;
		Object.assign(run, { looked: run.images, answers, sure, W });
		run.judged.push([epochs, loss, right]);
		if (!run.reached && right >= 0.95 * held_out) run.reached = `95 % in epoch ${number(epochs)}, after ${number(run.seconds)} seconds`;
		if (wanted === "step") want("");
		redraw();
		figure.say(`${percent(right)} of the held-out digits are read correctly.`);
	}

	function showAll(pictures, values, most) {
		if (!values) {
			for (const picture of pictures) picture.show(new Float32Array(25), 1);
			most.textContent = "";
			return;
		}
		const limit = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
		pictures.forEach((picture, f) => picture.show(values.subarray(25 * f, 25 * f + 25), limit || 1));
		most.textContent = `up to ±${number(limit)}`;
	}

	Object.defineProperty(figure, "run", { get: () => run }); // for tests, and for the curious
	new IntersectionObserver((entries, observer) => {
		if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
		observer.disconnect();
		work(); // the untrained network's answers
	}).observe(figure.element);
});
