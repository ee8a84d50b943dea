/* Chapter 16: a small network learns a curve from few noisy points; its loss on them, and on points that it does not see. */

liveFigure.define("overfitting", (figure, data) => {
	"use strict";
	const { make, number } = liveFigure;
	const STEPS = 3000, SLICE = 20; // steps of a run, and of a frame
	const column = (values) => cnnlib.array(Array.from(values, (value) => [value]), "float64");
	const validation = [column(data.validation.x), column(data.validation.t)];
	const grid = column(Array.from({ length: 121 }, (_, k) => -1.2 + k / 50));
	const loss = cnnlib.MeanSquaredError();
	let [network, optimizer, run, step, histories] = [null, null, null, 0, []];

	const points = figure.select("points", options(data.points), data.points[1], restart);
	const units = figure.select("units a layer", options(Object.keys(data.networks)), "64", restart);
	const decay = figure.select("weight decay", options([0, 0.3, 1, 3]), 0, restart);
	const dropout = figure.select("dropout", options([0, 0.2, 0.5]), 0, restart);
	const train = figure.button("Train", () => (run?.running ? stop() : start()));
	figure.row(points.element, units.element, decay.element, dropout.element, train, figure.button("Start again", restart));

	const fit = figure.chart("The points, the curve behind them, and what the network makes of them", { x: [-1.2, 1.2], y: [-2.5, 2.5], xlabel: "x", ylabel: "t", height: 250 });
	const curves = figure.chart("The loss on the training points and on the validation points, after each twentieth step", { x: [0, 1.02 * STEPS], y: [0.005, 2], xlabel: "step", ylabel: "loss", height: 250, log: true });
	const result = make("p", { class: "lf-result" });
	figure.row(make("div", { style: "flex: 1 1 300px; min-width: 0" }, fit.element), make("div", { style: "flex: 1 1 300px; min-width: 0" }, curves.element));
	figure.add(result);
	figure.add(make("p", { class: "lf-note" }, "Left: dots are the training points, the dashed curve is where they come from, the solid one is the network. Right: solid is the training loss, dashed the validation loss."));

	function options(values) {
		return Object.fromEntries(values.map((value) => [value, String(value)]));
	}

	const training = () => {
		const count = +points.value;
		return [column(data.training.x.slice(0, count)), column(data.training.t.slice(0, count))];
	};

	function restart() {
		stop();
		const description = data.networks[units.value];
		const rate = +dropout.value;
		const layers = description.layers.map((layer) => (layer.class === "Dropout" ? { ...layer, config: { rate } } : layer));
		network = cnnlib.Network.fromJSON({ ...description, layers }).astype("float64");
		optimizer = cnnlib.Adam(data.learning_rate, { weight_decay: +decay.value });
		cnnlib.set_training(network, false, cnnlib.default_rng(16));
		[step, histories] = [0, [[], []]];
		record();
		redraw();
	}

	function stop() {
		run?.stop();
		train.textContent = "Train";
	}

	function start() {
		if (step >= STEPS) restart();
		train.textContent = "Stop";
		const [x, t] = training();
		const ours = run = { running: true, stop() { this.running = false; } };
		const slice = () => {
			if (!ours.running) return;
			cnnlib.set_training(network, true);
			for (let k = 0; k < SLICE; k++) network.train_step(x, t, optimizer, loss);
			cnnlib.set_training(network, false);
			step += SLICE;
			record();
			if (step >= STEPS) stop();
			if (!figure.calm || step >= STEPS) redraw(); // for those who asked for no movement: the end only
			setTimeout(slice, figure.calm ? 0 : 16);
		};
		slice();
	}

	function record() {
		[training(), validation].forEach(([x, t], k) => histories[k].push([step, loss.value(network.forward(x), t)]));
	}

	function redraw() {
		const y = network.forward(grid).data;
		const pairs = (values) => Array.from(grid.data, (at, k) => [at, values(at, k)]);
		fit.lines([
			{ points: pairs((at) => Math.sin(3 * at)), class: "lf-line-2" },
			{ points: pairs((_, k) => y[k]), class: "lf-line-1" }]);
		const [x, t] = training();
		x.data.forEach((at, k) => {
			const [cx, cy] = fit.place(at, t.data[k]);
			fit.content.append(liveFigure.draw("circle", { cx, cy, r: 4, style: "fill: currentColor" }));
		});
		curves.lines([{ points: histories[0], class: "lf-line-1" }, { points: histories[1], class: "lf-line-2" }]);
		const [now, lowest] = [histories.map((history) => history.at(-1)[1]), histories[1].reduce((best, each) => (each[1] < best[1] ? each : best))];
		result.textContent = `Step ${step}: training loss ${number(now[0])}, validation loss ${number(now[1])} (lowest: ${number(lowest[1])} at step ${lowest[0]}).`;
		figure.say(result.textContent);
	}

	restart();
});
