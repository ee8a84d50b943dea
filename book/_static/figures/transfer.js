/* Chapter 18: the same last layer on pixels, and on early and late features of a network for other digits. */

liveFigure.define("transfer", (figure, data) => {
	"use strict";
	const { make, number } = liveFigure;
	const { steps: STEPS, classes } = data;
	const names = Object.keys(data.features); // pixels, early, late
	const inputs = Object.fromEntries(names.map((name) => {
		const { train, test, size, scale } = data.features[name];
		const unpack = (text) => {
			const values = Float64Array.from(cnnlib.decode(text, "uint8"), (value) => value * scale);
			return cnnlib.array(values, "float64").reshape(values.length / size, size);
		};
		return [name, { train: unpack(train), test: unpack(test), size }];
	}));
	const targets = cnnlib.one_hot(data.labels.test, classes, "float64");
	let [run, step, models] = [null, 0, {}];

	const count = figure.select("examples of each class", Object.fromEntries(data.counts.map((value) => [value, String(value)])), data.counts[2], restart);
	const order = figure.select("draw", Object.fromEntries(data.orders.map((_, k) => [k, String(k + 1)])), 0, restart);
	const train = figure.button("Train", () => (run?.running ? stop() : start()));
	figure.row(count.element, order.element, train);
	const chart = figure.chart("The share of test digits that each of three layers classifies correctly, after each fifth step", { x: [0, 1.02 * STEPS], y: [0, 1], xlabel: "step", ylabel: "test accuracy", width: 420, height: 250 });
	const table = make("table", { class: "lf-results", style: "border-collapse: collapse" });
	const note = make("p", { class: "lf-note" }, "Each layer is trained on the same few digits. The test digits are the same, too: " + data.labels.test.length + " of them.");
	figure.row(make("div", { style: "flex: 1 1 300px; min-width: 0" }, chart.element), make("div", { class: "lf-group", style: "flex: 1 1 260px" }, table, note));

	/** The first examples of each class, in the order of the draw. */
	function chosen() {
		const left = Array(classes).fill(+count.value);
		return data.orders[+order.value].filter((n) => left[data.labels.train[n]]-- > 0);
	}

	function stop() {
		run?.stop();
		train.textContent = "Train";
	}

	function restart() {
		stop();
		step = 0;
		const places = chosen();
		const t = cnnlib.one_hot(places.map((n) => data.labels.train[n]), classes, "float64");
		models = Object.fromEntries(names.map((name) => {
			const layer = cnnlib.Dense(inputs[name].size, classes, "zeros", { dtype: "float64" });
			const network = cnnlib.Network([layer, cnnlib.Softmax()], [inputs[name].size]);
			return [name, { network, x: inputs[name].train.take(places), t, optimizer: cnnlib.SGD(data.learning_rate), history: [] }];
		}));
		record();
		redraw();
	}

	function start() {
		if (step >= STEPS) restart();
		train.textContent = "Stop";
		const ours = run = { running: true, stop() { this.running = false; } };
		const slice = () => {
			if (!ours.running) return;
			for (let k = 0; k < 5; k++) for (const { network, x, t, optimizer } of Object.values(models)) network.train_step(x, t, optimizer);
			step += 5;
			record();
			if (step >= STEPS) stop();
			if (!figure.calm || step >= STEPS) redraw(); // for those who asked for no movement: the end only
			setTimeout(slice, figure.calm ? 0 : 16);
		};
		slice();
	}

	function record() {
		for (const [name, { network, x, t, history }] of Object.entries(models)) {
			const accuracy = (input, target) => cnnlib.accuracy(network.predict(input, 1000), target);
			history.push([step, accuracy(inputs[name].test, targets), accuracy(x, t)]);
		}
	}

	function redraw() {
		chart.lines(names.map((name, k) => ({ points: models[name].history.map(([at, value]) => [at, value]), class: `lf-line-${k + 1}` })));
		const style = "padding: 0.25rem 0.4rem; text-align: right; white-space: nowrap";
		const line = (cells, tag = "td") => make("tr", {}, cells.map((text, k) => make(tag, { style: k ? style : "padding: 0.25rem 0.6rem 0.25rem 0; text-align: left" }, text)));
		const share = (value) => `${(100 * value).toFixed(1)} %`;
		const strokes = ["solid", "dashed", "dotted"];
		table.replaceChildren(make("tbody", {}, line(["on", "numbers", "training", "test"], "th"),
			names.map((name, k) => line([`${data.features[name].label} (${strokes[k]})`, String(inputs[name].size), share(models[name].history.at(-1)[2]), share(models[name].history.at(-1)[1])]))));
		figure.say(`Step ${step}. Test accuracy: ${names.map((name) => `${data.features[name].label} ${share(models[name].history.at(-1)[1])}`).join(", ")}.`);
	}

	restart();
});
