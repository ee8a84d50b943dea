/* Chapter 21: noise becomes the digit that the reader chooses, step by step, and the book's LeNet-5 reads it. */

liveFigure.define("generation", (figure, data) => {
	"use strict";
	const { fill, make, number } = liveFigure;
	const [FIELD, PIXELS, COUNT, CLASSES] = [28, 784, 8, 10];

	// The networks: weights of six bits each, a letter for a weight, with a scale for each output

	const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const LEVEL = new Int8Array(128);
	[...LETTERS].forEach((letter, k) => { LEVEL[letter.charCodeAt(0)] = k - 31; });
	function unpack({ codes, scale, columns }) {
		const sizes = cnnlib.decode(scale, "float16");
		const W = new Float32Array(codes.length);
		const group = columns ? 1 : codes.length / sizes.length; // numbers in a row with one scale: of a kernel, all
		for (let k = 0, output = 0; k < W.length; output = (output + 1) % sizes.length)
			for (let end = k + group; k < end; k++) W[k] = LEVEL[codes.charCodeAt(k)] * sizes[output];
		return W;
	}
	const read = (entry) => {
		if (entry.config.layers) return { ...entry, config: { layers: entry.config.layers.map(read) } };
		if (!entry.parameters?.W) return entry;
		const { W, b } = entry.parameters;
		const config = { ...entry.config, initializer: "zeros" }; // nothing is drawn that is then replaced
		return { ...entry, config, parameters: { W: unpack(W), b: cnnlib.decode(b, "float16") } };
	};
	const build = (described) => cnnlib.Network.fromJSON({ ...described, layers: described.layers.map(read) });
	const [flow, decoder, judge] = [data.flow, data.decoder, data.judge].map(build);
	const SIZE = decoder.input_shape[0];

	// What is computed: a path, whose entries are {t, x, v}: points (COUNT, SIZE) and the velocities there

	function noiseOf(seed) {
		const rng = cnnlib.default_rng(seed);
		return cnnlib.array(Float32Array.from({ length: COUNT * SIZE }, () => rng.normal())).reshape(COUNT, SIZE);
	}

	/* With the class and without, in one batch: 2 COUNT rows [x, class, sines, cosines]. */
	function velocity(x, t, label, guidance) {
		const { frequencies } = data;
		const width = SIZE + CLASSES + 2 * frequencies.length;
		const input = cnnlib.zeros([2 * COUNT, width]);
		for (let n = 0; n < 2 * COUNT; n++) {
			const row = input.data.subarray(n * width, (n + 1) * width);
			row.set(x.data.subarray(n % COUNT * SIZE, (n % COUNT + 1) * SIZE));
			if (n < COUNT) row[SIZE + label] = 1;
			frequencies.forEach((frequency, k) => {
				row[SIZE + CLASSES + k] = Math.sin(t * frequency);
				row[SIZE + CLASSES + frequencies.length + k] = Math.cos(t * frequency);
			});
		}
		const [v, without] = [0, 1].map(((y) => (half) => y.slice(half * COUNT, (half + 1) * COUNT))(flow.forward(input)));
		return v.map((value, k) => without.data[k] + guidance * (value - without.data[k]));
	}

	const along = (x, v, h) => x.map((value, k) => value + h * v.data[k]);

	function* follow({ label, guidance, steps, heun, seed }) {
		const h = 1 / steps;
		let x = noiseOf(seed);
		for (let k = 0; k < steps; k++) {
			const v = velocity(x, k * h, label, guidance);
			yield { t: k * h, x, v };
			const next = heun ? velocity(along(x, v, h), (k + 1) * h, label, guidance) : v;
			x = along(x, v.map((value, j) => (value + next.data[j]) / 2), h);
		}
		yield { t: 1, x, v: cnnlib.zeros(x.shape) };
	}

	const images = (z) => new cnnlib.Sigmoid().forward(decoder.forward(z).map((value) => data.sharpness * value));

	// Controls

	const options = { label: 3, guidance: data.guidance, steps: 10, heun: true, seed: 1 };
	const soon = figure.onceAFrame(restart);
	const set = (key, convert = Number) => (value) => {
		options[key] = convert(value);
		figure.busy = true; // for tests
		soon();
	};
	const label = figure.select("digit", Object.fromEntries(Array.from({ length: CLASSES }, (_, k) => [k, k])), options.label, set("label"));
	const method = figure.select("method", { heun: "Heun", euler: "Euler" }, "heun", set("heun", (name) => name === "heun"));
	const guidance = figure.slider("guidance", { values: [0, 0.5, 1, 1.5, 2, 3, 5, 8], value: options.guidance }, set("guidance"));
	const steps = figure.slider("steps", { values: [1, 2, 3, 5, 10, 20, 30], value: options.steps }, set("steps"));
	const seed = figure.slider("seed", { min: 0, max: 20, step: 1, value: options.seed }, set("seed"));
	const place = figure.slider("shown step", { min: 0, max: options.steps, step: 1, value: options.steps }, (k) => { pause(); show(k); });
	const play = figure.button("Play", () => (player?.running ? pause() : start()), { style: "min-width: 5rem" });
	const one = figure.button("one step", () => { pause(); show(shown >= path.length - 1 ? 0 : shown + 1); });
	const guess = figure.checkbox("show where the velocity points", false, () => show(shown));
	figure.row(label.element, method.element, play, one);
	for (const { element } of [guidance, steps, seed, place]) element.firstChild.style.minWidth = "6.5rem";
	for (const pair of [[guidance, steps], [seed, place]]) figure.row(...pair.map(({ element }) => fill(element, { style: "flex: 0 1 20rem" })));
	figure.row(guess.element);

	// Eight digits, each with what the judge reads

	const cells = Array.from({ length: COUNT }, (_, n) => {
		const picture = figure.picture(`generated digit ${n + 1}`, { height: FIELD, width: FIELD, scale: 1 });
		picture.element.style.width = "100%";
		const answer = make("span", { style: "font-size: 0.875rem; line-height: 1.2; min-height: 1.2em; text-align: center" });
		return { picture, answer, element: make("div", { style: "display: flex; flex: 1 1 4.4rem; flex-direction: column; max-width: 9rem" }, picture.element, answer) };
	});
	const half = (from) => make("div", { style: "display: flex; flex: 1 1 18rem; gap: 0.5rem" }, cells.slice(from, from + 4).map(({ element }) => element));
	figure.add(make("div", { style: "display: flex; flex-wrap: wrap; gap: 0.5rem" }, half(0), half(4)));
	const status = figure.add(make("p", { class: "lf-status", style: "min-height: 2.8em" }));

	// A path is computed bit by bit; a change of the controls drops what is under way

	let path = [];
	let shown = 0;
	let player = null;
	let run = 0;
	let judging = null; // a timer

	function restart() {
		const own = ++run;
		const work = follow({ ...options });
		pause();
		path = [];
		place.input.max = options.steps;
		const next = () => {
			if (own !== run) return;
			const { value, done } = work.next();
			if (done) return show(options.steps);
			path.push(value);
			if (figure.calm) next();
			else setTimeout(next);
		};
		if (figure.calm) next();
		else setTimeout(next, 50); // not before a drag has come to rest
	}

	/* The pictures at once; what LeNet-5 reads, a moment later, so that a drag does not wait for it. */
	function show(k) {
		shown = Math.min(k, path.length - 1);
		if (shown < 0) return;
		figure.busy = true;
		place.value = shown;
		const { t, x, v } = path[shown];
		const y = images(guess.value ? along(x, v, 1 - t) : x);
		cells.forEach(({ picture }, n) => picture.show(y.data.subarray(n * PIXELS, (n + 1) * PIXELS), 1));
		clearTimeout(judging);
		if (figure.calm) judged(y);
		else judging = setTimeout(() => judged(y), 30);
	}

	function judged(y) {
		const { t } = path[shown] ?? {};
		if (t === undefined) return; // a new path is under way
		const p = judge.forward(y.reshape(COUNT, 1, FIELD, FIELD));
		const answers = Array.from({ length: COUNT }, (_, n) => cnnlib.argmax(p.slice(n, n + 1).data));
		cells.forEach(({ answer }, n) => {
			const right = answers[n] === options.label;
			answer.textContent = `${right ? "✓" : "✗"} ${answers[n]}, ${Math.round(100 * p.data[n * CLASSES + answers[n]])} %`;
			answer.className = right ? "lf-check lf-right" : "lf-check lf-wrong";
		});
		const right = answers.filter((answer) => answer === options.label).length;
		const evaluations = shown * (options.heun ? 2 : 1);
		status.textContent = `Time ${number(t)}, after ${evaluations} evaluation${evaluations === 1 ? "" : "s"} of the velocity` +
			`${guess.value && t < 1 ? "; shown is where it points" : ""}. LeNet-5 reads ${right} of ${COUNT} as ${options.label}.`;
		figure.busy = path.length <= options.steps;
		figure.state = { options: { ...options }, shown, path, images: y, p }; // for tests, and for the curious
		if (!player?.running || shown === path.length - 1) figure.say(status.textContent);
	}

	function start() {
		const from = shown >= path.length - 1 ? 0 : shown;
		play.textContent = "Pause";
		player = figure.play((k) => {
			show(from + k);
			const more = from + k < options.steps;
			if (!more) play.textContent = "Play";
			return more;
		}, Math.max(60, 2500 / options.steps));
		if (figure.calm) play.textContent = "Play";
	}

	function pause() {
		player?.stop();
		play.textContent = "Play";
	}

	restart();
});
