/* Chapter 15: the reader draws digits and says which they are, and the network is fine-tuned on them, in a worker, as the
   library does it; with replayed digits, or without. */

liveFigure.define("fine-tuning", (figure, data) => {
	"use strict";
	const { draw, fill, make, number } = liveFigure;
	const [CANVAS, PEN, SCALE, STEPS] = [280, 2.5, 7, 60]; // SCALE: pixels of the canvas for one of the network's image
	const DIGITS = [...Array(10).keys()];

	/* All that takes long: see `background` in digits.js. `message.kind` says what to do. */
	function* tune(cnnlib, state, message) {
		const { FineTuner, images_of, letters, predict } = cnnlib.digits;
		const as_images = (flat) => cnnlib.array(flat).reshape(flat.length / 784, 1, 28, 28);

		/* How many held-out digits of each kind are read correctly */
		function* judge() {
			const p = yield* predict(state.network, state.held_out);
			const right = new Array(10).fill(0);
			state.labels.forEach((label, n) => { right[label] += cnnlib.argmax(p.slice(n, n + 1).data) === label; });
			return right;
		}

		if (message.kind === "prepare") {
			const x = images_of(message.images);
			state.network = cnnlib.Network.fromJSON(message.network);
			state.held_out = x.slice(message.train);
			state.labels = letters(message.labels).slice(message.train);
			state.tuner = new FineTuner(state.network, x.slice(0, message.train));
			const right = yield* judge();
			yield* state.tuner.prepare();
			return { right };
		}
		if (message.kind === "begin") {
			state.drawings = as_images(message.images);
			state.work = state.tuner.fine_tune(state.drawings, message.labels, message.replay ? {} : { replayed: 0 });
			return null;
		}
		// "step": the next one; or, after the last, what has become of it all
		for (;;) {
			const { value, done } = state.work.next();
			if (done) break;
			if (value !== undefined) return { loss: value, p: state.network.forward(state.drawings.slice(state.drawings.length - 1)).data };
			yield;
		}
		const p = yield* predict(state.network, state.drawings);
		const answers = Array.from({ length: p.length }, (_, n) => cnnlib.argmax(p.slice(n, n + 1).data));
		return { answers, right: yield* judge(), parameters: Object.values(state.network.parameters()).map(({ data }) => data.slice()) };
	}

	// What is shown

	let strokes = [];
	let image = new Float32Array(784);
	let networks = null; // before and now, as soon as the page is there
	let worker = null;
	let ready = null; // a promise: the digits to replay are prepared
	let before = null; // how many held-out digits of each kind the network read before the first lesson
	let lessons = []; // {image, label, answers, right, parameters}: what the network is after it
	let learning = null; // {label, step, stopped}
	const total = data.labels.length - data.train;
	const counts = DIGITS.map((digit) => data.labels.slice(data.train).split(digit).length - 1);

	const pad = figure.svg(CANVAS, CANVAS, "Drawing area. Draw a digit with mouse, pen or finger. Key c clears it, z takes the last stroke back; a digit key says which digit it is.");
	fill(pad, { tabindex: 0, role: "application", class: "lf-svg ft-pad", style: "border: 1px solid var(--lf-line); box-sizing: border-box; cursor: crosshair; max-width: 280px; touch-action: none" });
	const ink = draw("path", { fill: "none", stroke: "currentColor", "stroke-width": SCALE * PEN, "stroke-linecap": "round", "stroke-linejoin": "round" });
	const hint = draw("text", { x: CANVAS / 2, y: CANVAS / 2, "text-anchor": "middle", style: "font-size: 18px" }, "draw a digit here");
	pad.append(hint, ink);
	const follow = figure.onceAFrame(show);
	const clear = figure.button("Clear", () => set([]));
	const back = figure.button("Undo stroke", () => set(strokes.slice(0, -1)));
	const shown = data.samples.map(() => 0); // how often each was chosen
	const samples = data.samples.map(({ name, drawings }, k) => figure.button(name, () => set(drawings[shown[k]++ % drawings.length])));

	const picture = figure.picture("The image that the network sees", { width: 28, height: 28, scale: 3 });
	const reads = make("p", { class: "lf-title ft-reads" });
	const chart = (label) => {
		const svg = figure.svg(300, 92, label);
		svg.style.maxWidth = "420px";
		return svg;
	};
	const bars = chart("");
	const others = chart("");
	const column = (...children) => make("div", { class: "lf-group", style: "flex: 1 1 280px; min-width: 0" }, ...children);
	const teach = DIGITS.map((digit) => figure.button(String(digit), () => learn(digit), { "aria-label": `It is ${a(digit)}: learn it`, style: "padding: 0.15rem 0" }));
	const replay = figure.checkbox("replay other digits", true, () => {});
	const undo = figure.button("Undo the last lesson", () => forget(lessons.slice(0, -1)));
	const reset = figure.button("Back to the start", () => forget([]));
	const status = make("p", { class: "lf-status", style: "min-height: 7em" });
	const kept = figure.check();
	kept.element.style.minHeight = "1.4em";
	const taught = make("div", { class: "ft-taught", style: "display: flex; flex-wrap: wrap; gap: 0.4rem; min-height: 4.3rem" });

	figure.row(
		column(make("p", { class: "lf-title" }, "Your drawing"), pad, make("div", { style: "display: flex; flex-wrap: wrap; gap: 0.4rem" }, clear, back, ...samples)),
		column(make("p", { class: "lf-title" }, "What the network reads"), make("div", { style: "align-items: center; display: flex; gap: 0.75rem" }, picture.element, reads), bars,
			make("p", { class: "lf-note" }, "Outlined: before the first lesson. Filled: now."),
			figure.group("It is a", make("div", { style: "display: grid; gap: 0.25rem; grid-template-columns: repeat(10, minmax(0, 2.4rem))" }, teach)), replay.element, status),
	);
	figure.row(
		column(make("p", { class: "lf-title" }, "Lessons so far"), taught, make("div", { style: "display: flex; flex-wrap: wrap; gap: 0.4rem" }, undo, reset)),
		column(make("p", { class: "lf-title" }, `${total} digits by other people: the share read correctly`), others, kept.element),
	);

	function a(digit) { return `${digit === 8 ? "an" : "a"} ${digit}`; }
	const percent = (p) => `${Math.min(Math.round(100 * p), 99)} %`; // nothing is certain
	const sum = (values) => values.reduce((x, y) => x + y, 0);
	const now = () => lessons.at(-1)?.right ?? before;

	/** For each digit two bars, from 0 to 1. */
	function pairs(svg, label, old, next) {
		svg.replaceChildren(...DIGITS.flatMap((digit) => [
			draw("rect", { x: 30 * digit + 4, y: 74 - 70 * old[digit], width: 10, height: 70 * old[digit], fill: "none", stroke: "var(--lf-text)" }),
			draw("rect", { x: 30 * digit + 15, y: 74 - 70 * next[digit], width: 11, height: 70 * next[digit], fill: "var(--lf-accent)" }),
			draw("text", { x: 30 * digit + 15, y: 90, "text-anchor": "middle" }, String(digit)),
		]), draw("path", { d: "M 0 74 H 300", stroke: "var(--lf-line)" }));
		svg.setAttribute("aria-label", `${label} ${DIGITS.map((digit) => `${digit}: ${number(old[digit], 2)}, ${number(next[digit], 2)}`).join("; ")}`);
	}

	function read(network) {
		return strokes.length && network ? [...network.forward(cnnlib.array(image).reshape(1, 1, 28, 28)).data] : new Array(10).fill(0);
	}

	/** The drawing, and what the network says of it. `p`: what it says in the middle of a lesson. */
	function show(p = null) {
		hint.style.display = strokes.length ? "none" : "";
		ink.setAttribute("d", strokes.map((stroke) => `M ${[...stroke, stroke.at(-1)].map((point) => point.map((value) => value.toFixed(1)).join(" ")).join(" L ")}`).join(" "));
		image = cnnlib.digits.rasterize(strokes, PEN);
		picture.show(image, 1);
		const [old, next] = [read(networks?.[0]), Array.isArray(p) ? p : read(networks?.[1])];
		pairs(bars, "Probabilities of the digits, before the first lesson and now.", old, next);
		const [best, first] = [next, old].map((values) => cnnlib.argmax(values));
		const changed = lessons.length || Array.isArray(p) ? ` Before: ${first} (${percent(old[first])})` : "";
		reads.textContent = strokes.length && networks ? `${best} (${percent(next[best])}).${changed}` : "…";
		return [old, next];
	}

	function set(next) {
		strokes = next;
		drawn();
	}

	/** After a stroke, a sample or a key */
	function drawn() {
		const [, next] = show();
		if (!networks) return;
		const best = cnnlib.argmax(next);
		figure.say(strokes.length ? `It reads ${a(best)}, ${percent(next[best])} sure.` : "The drawing area is empty.");
		prepare();
	}

	function showLessons() {
		const { answers } = lessons.at(-1) ?? {};
		taught.replaceChildren(...lessons.map(({ image: each, label }, n) => {
			const right = answers[n] === label;
			const small = figure.picture(`Lesson ${n + 1}: ${a(label)}, now read as ${a(answers[n])}`, { width: 28, height: 28, scale: 1.5 });
			small.show(each, 1);
			return make("div", {}, small.element, make("p", { class: `lf-check ${right ? "lf-right" : "lf-wrong"}`, style: "font-size: 0.875rem" }, `${right ? "✓" : "✗"} ${answers[n]}`));
		}));
		if (!lessons.length) taught.replaceChildren(make("p", { class: "lf-note" }, "None. Draw a digit, or take a sample, and say which it is."));
		if (!before) return pairs(others, "Not yet counted.", new Array(10).fill(0), new Array(10).fill(0));
		const shares = [before, now()].map((right) => right.map((count, digit) => count / counts[digit]));
		pairs(others, "The share of each digit that is read correctly, before the first lesson and now.", ...shares);
		const [first, last] = [sum(before), sum(now())];
		// More than one in a hundred is more than any lesson with replay has cost: see the test.
		kept.show(last >= first - total / 100, lessons.length ? `${last} of ${total} read correctly, before ${first}` : `${first} of ${total} read correctly`);
	}

	// Learning

	/** The digits to replay, once; it begins when the reader begins. */
	function prepare() {
		if (ready) return ready;
		worker = figure.worker = cnnlib.digits.background(tune);
		ready = worker.run({ kind: "prepare", network: data.network, images: data.images, labels: data.labels, train: data.train }).then(({ right }) => {
			before = right;
			showLessons();
		});
		return ready;
	}

	function say(text) {
		status.textContent = text;
		figure.say(text);
	}

	async function learn(label) {
		if (learning) return figure.say("It is still learning the last drawing.");
		if (!strokes.length) return say("There is nothing to learn: draw a digit first.");
		show();
		const mine = learning = { label, step: 0, stopped: false };
		const old = read(networks[0]);
		// The same drawing again: only the last label counts.
		const same = lessons.length && lessons.at(-1).image.every((value, k) => value === image[k]);
		const all = [...(same ? lessons.slice(0, -1) : lessons), { image: image.slice(), label }];
		const these = strokes;
		status.textContent = "It prepares the digits to replay …";
		await prepare();
		await worker.run({ kind: "begin", images: Float32Array.from(all.flatMap((lesson) => [...lesson.image])), labels: all.map((lesson) => lesson.label), replay: replay.value });
		const began = performance.now();
		while (!mine.stopped) {
			const result = await worker.run({ kind: "step" });
			if (mine.stopped) break;
			if (result.loss !== undefined) {
				mine.step += 1;
				status.textContent = `It learns: step ${mine.step} of ${STEPS}.`;
				if (strokes === these && !figure.calm) show([...result.p]);
				continue;
			}
			all[all.length - 1] = { ...all.at(-1), ...result };
			learning = null;
			become(all);
			const p = networks[1].forward(cnnlib.array(all.at(-1).image).reshape(1, 1, 28, 28)).data;
			const [best, first] = [p, old].map(cnnlib.argmax);
			const right = result.answers.filter((answer, n) => answer === all[n].label).length;
			return say(`Learned in ${number((performance.now() - began) / 1000, 2)} s. This drawing is now read as ${a(best)} (${percent(p[best])}), at first as ${a(first)} (${percent(old[first])}). ` +
				`The network reads ${right} of your ${all.length} lessons correctly, and ${sum(result.right)} of ${total} digits by other people, at first ${sum(before)}.`);
		}
	}

	/** Be what these lessons have made of the network. */
	function become(next) {
		lessons = next;
		const parameters = lessons.at(-1)?.parameters ?? Object.values(networks[0].parameters()).map((array) => array.data);
		Object.values(networks[1].parameters()).forEach((array, k) => array.data.set(parameters[k]));
		show();
		showLessons();
	}

	/** What a network learns depends on its lessons alone: it is again what it was after these. */
	function forget(next) {
		if (learning) {
			learning.stopped = true;
			learning = null;
			next = lessons; // the lesson that had begun is undone
		}
		become(next);
		say(next.length ? `The network is as it was after lesson ${next.length}.` : "The network is as it was before the first lesson.");
	}

	// The pen

	let drawing = false;
	const at = (event) => {
		const { left, top, width } = pad.getBoundingClientRect();
		return [event.clientX - left, event.clientY - top].map((value) => (CANVAS * value) / width);
	};
	pad.addEventListener("pointerdown", (event) => {
		if (!event.isPrimary || event.button !== 0) return;
		if (pad.hasPointerCapture(event.pointerId)) pad.releasePointerCapture(event.pointerId);
		pad.focus({ preventScroll: true });
		drawing = true;
		strokes = [...strokes, [at(event)]];
		follow();
		event.preventDefault();
	});
	pad.addEventListener("pointermove", (event) => {
		if (!drawing || !event.isPrimary) return;
		strokes.at(-1).push(at(event));
		follow();
	});
	for (const end of ["pointerup", "pointerleave", "pointercancel"]) {
		pad.addEventListener(end, (event) => {
			if (!drawing || !event.isPrimary) return;
			drawing = false;
			drawn();
		});
	}
	pad.addEventListener("keydown", (event) => {
		if (event.ctrlKey || event.metaKey || event.altKey) return;
		const act = { c: () => set([]), Escape: () => set([]), z: () => set(strokes.slice(0, -1)), Backspace: () => set(strokes.slice(0, -1)) }[event.key];
		if (!act && !/^\d$/.test(event.key)) return;
		event.preventDefault();
		if (act) act();
		else learn(+event.key);
	});

	show();
	showLessons();
	setTimeout(() => {
		networks = figure.networks = [0, 1].map(() => cnnlib.Network.fromJSON(data.network));
		show();
	});
	Object.defineProperty(figure, "tuning", { get: () => ({ before, image, learning, lessons, strokes }) }); // for tests, and for the curious
});
