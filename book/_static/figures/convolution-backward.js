/* Chapter 6: where one dy goes, which outputs a pixel's gradient comes from, and what = does in place of +=. */

liveFigure.define("convolution-backward", (figure, data) => {
	"use strict";
	const { block, make, number } = liveFigure;
	const { array } = cnnlib;
	const shown = (value) => number(value, 6);
	const signed = (value) => (value < 0 ? `(${shown(value)})` : shown(value));
	const range = (count, from = 0) => Array.from({ length: count }, (_, k) => from + k);
	const S = data.x.length;
	let x, W, dy, chosen, adds;
	const restart = () => { [x, W, dy, chosen, adds] = [...structuredClone([data.x, data.W, data.dy]), ["dy", 1, 1], true]; };
	restart();

	// Controls

	const redrawSoon = figure.onceAFrame(redraw);
	const kernel = figure.slider("kernel", { min: 2, max: 3, step: 1, value: 3, format: (k) => `${k} × ${k}` }, redrawSoon);
	const stride = figure.slider("stride", { min: 1, max: 3, step: 1, value: 1 }, redrawSoon);
	const padding = figure.slider("padding", { min: 0, max: 1, step: 1, value: 0 }, redrawSoon);
	for (const { input } of [kernel, stride, padding]) input.style.width = "6rem";
	figure.row(kernel.element, stride.element, padding.element);

	// Arrays

	const size = "1.85rem";
	const inside = (i, j) => [i, j].every((k) => k >= padding.value && k < padding.value + S);
	const choose = (kind) => (i, j) => { chosen = [kind, i, j]; redraw(); };
	const input = figure.matrix("x, the input; type a number to change it", x, {
		size, editable: inside, change: (i, j, value) => { x[i - padding.value][j - padding.value] = value; redraw(); },
	});
	const weights = figure.matrix("W, the kernel; type a number to change it", W, { size, change: (i, j, value) => { W[i][j] = value; redraw(); } });
	const upstream = figure.matrix("dy, the upstream gradient; choose one", [[0]], {
		size, select: choose("dy"), change: (i, j, value) => { dy[i][j] = value; redraw(); },
	});
	const back = figure.matrix("dx, the gradient of the input; choose a pixel", x, { size, select: choose("dx") });
	const slopes = figure.matrix("dx by central differences", x, { size });
	const visits = figure.matrix("in how many windows each pixel lies", x, { size: "1.75rem" });
	figure.row(figure.named("x", input), figure.named("W", weights), figure.named("dy", upstream));
	figure.row(figure.named("dx", back), figure.named("dx by differences", slopes), figure.named("visits", visits));

	const modes = [["+=", true], ["=", false]].map(([label, value]) => figure.button(label, () => { adds = value; redraw(); },
		{ "aria-label": `col2im with ${label}` }));
	const again = figure.button("start again", () => {
		restart();
		[kernel.value, stride.value, padding.value] = [3, 1, 0];
		redraw();
	});
	figure.add(make("div", { class: "lf-row", style: "align-items: center" }, make("div", { class: "lf-control" }, "col2im with", ...modes), again));
	const check = figure.check();
	figure.add(check.element);

	// What belongs to the choice

	const dW = figure.matrix("dW, the gradient of the kernel", W, { size });
	const toW = figure.matrix("what the chosen dy adds to dW", W, { size });
	const toX = figure.matrix("what the chosen dy adds to dx", W, { size });
	const seen = figure.matrix("the weight by which each output uses the chosen pixel", [[0]], { size });
	const [ofDy1, ofDy2, ofPixel] = [figure.named("its share of dW", toW), figure.named("its share of dx", toX), figure.named("weights between it and dy", seen)];
	const title = make("p", { class: "lf-title" });
	const [story, sum] = [make("p"), make("p")];
	figure.add(make("div", { class: "lf-group" }, title, story, sum));
	figure.row(figure.named("dW", dW), ofDy1, ofDy2, ofPixel);
	figure.add(figure.scale());

	// A sum, whose terms stay on one line each.
	const written = (terms) => terms.flatMap((term, k) => [make("span", { style: "white-space: nowrap" }, (k ? "+ " : "") + term), " "]);

	const layerOf = (K, step, zeros, kernels = W) => {
		const layer = cnnlib.Convolutional(1, 1, K, { stride: step, padding: zeros, initializer: "zeros", dtype: "float64" });
		layer.W = array([[kernels.slice(0, K).map((line) => line.slice(0, K))]], "float64");
		return layer;
	};
	const flat = (matrix) => array([[matrix]], "float64");

	function redraw() {
		const [K, step, zeros] = [kernel.value, stride.value, padding.value];
		const total = S + 2 * zeros;
		const layer = layerOf(K, step, zeros);
		const image = flat(x);
		const h = layer.forward(image).shape[2];
		const upper = dy.slice(0, h).map((line) => line.slice(0, h));
		layer.backward(flat(upper));
		const w = layer.W.toNested()[0][0];
		const limits = [chosen[0] === "dy" ? h : total, chosen[0] === "dy" ? h : total];
		chosen = [chosen[0], ...chosen.slice(1).map((k, axis) => Math.min(k, limits[axis] - 1))];
		const [kind, u, v] = chosen;

		// dcols = W.T dy, one column for each output; then back to the pixels, with += or with =
		const dcols = w.flat().map((weight) => upper.flat().map((value) => weight * value));
		const shape = [1, 1, total, total];
		const number_of = cnnlib.im2col(array(range(total * total)).reshape(...shape), K, step);
		const dxArray = adds ? cnnlib.col2im(dcols, shape, K, step) : cnnlib.zeros(shape, "float64");
		if (!adds) dcols.flat().forEach((value, k) => { dxArray.data[number_of.data[k]] = value; });
		const dx = dxArray.toNested()[0][0];
		const counts = cnnlib.col2im(number_of.map(() => 1), shape, K, step).toNested()[0][0];

		// The same by central differences
		const factors = upper.flat();
		const L = () => layer.forward(image).data.reduce((a, y, k) => a + y * factors[k], 0);
		const numerical = cnnlib.numerical_gradient(L, image);
		const dW_numerical = cnnlib.numerical_gradient(L, layer.W);
		const far = (a, b) => Math.abs(a - b) > 1e-6 * Math.max(1, Math.abs(a), Math.abs(b));
		const slope = (i, j) => numerical[(i - zeros) * S + j - zeros];
		const wrong = range(S, zeros).flatMap((i) => range(S, zeros).map((j) => [i, j])).filter(([i, j]) => far(dx[i][j], slope(i, j)));
		const dWRight = layer.dW.data.every((value, k) => !far(value, dW_numerical[k]));
		const overlaps = counts.flat().some((count) => count > 1);
		check.show(!wrong.length && dWRight, wrong.length || !dWRight
			? `${wrong.length} of ${S * S} numbers of dx are wrong, by central differences (dashed frames); dW is ${dWRight ? "right" : "wrong, too"}.`
			: `dx and dW agree with central differences${adds || overlaps ? "" : ": no pixel lies in two windows"}.`);
		modes.forEach((button, k) => button.setAttribute("aria-pressed", adds === (k === 0)));

		// Frames
		const margin = range(total).flatMap((i) => range(total).filter((j) => !inside(i, j)).map((j) => [i, j, "lf-faint"]));
		const dashed = wrong.map(([i, j]) => [i, j, "lf-bad"]);
		const unseen = range(total).flatMap((i) => range(total).filter((j) => counts[i][j] === 0).map((j) => [i, j, "lf-hatched"]));
		const reaching = range(h).flatMap((r) => range(h).map((s) => [r, s, u - r * step, v - s * step]))
			.filter(([, , i, j]) => kind === "dx" && Math.min(i, j) >= 0 && Math.max(i, j) < K);
		const here = kind === "dy" ? block(u * step, v * step, K) : [[u, v, "lf-frame-2"]];
		const padded = range(total).map((i) => range(total).map((j) => (inside(i, j) ? x[i - zeros][j - zeros] : 0)));
		input.show(padded, { frames: [...margin, ...unseen, ...here] });
		weights.show(w, { frames: kind === "dy" ? block(0, 0, K) : reaching.map(([, , i, j]) => [i, j, "lf-frame-2"]) });
		upstream.show(upper, { frames: kind === "dy" ? [[u, v, "lf-frame-2"]] : reaching.map(([r, s]) => [r, s, "lf-frame-2"]) });
		const largest = liveFigure.largest([dx, [...numerical]]);
		back.show(dx, { limit: largest, frames: [...margin, ...dashed, ...here] });
		slopes.show(range(S, zeros).map((i) => range(S, zeros).map((j) => slope(i, j))), {
			limit: largest, text: (value) => number(+value.toFixed(6)),
			frames: kind === "dx" && inside(u, v) ? [[u - zeros, v - zeros, "lf-frame-2"]] : [],
		});
		visits.show(counts, { frames: [...margin, ...unseen, ...here] });
		const dWValues = layer.dW.toNested()[0][0];
		dW.show(dWValues, { frames: [] });

		// What belongs to the choice
		[ofDy1.hidden, ofDy2.hidden, ofPixel.hidden] = [kind === "dx", kind === "dx", kind === "dy"];
		if (kind === "dy") {
			const alone = upper.map((line, r) => line.map((value, s) => (r === u && s === v ? value : 0)));
			layer.forward(image);
			const share = layerOf(K, step, 0);
			share.forward(flat(padded));
			const dxShare = share.backward(flat(alone)).toNested()[0][0];
			title.textContent = `dy[${u}, ${v}] = ${shown(upper[u][v])}`;
			story.textContent = "The output was made from the framed patch of x. So its dy goes to two places: times W, to that patch of dx; times the patch, to dW.";
			sum.textContent = "";
			toW.show(share.dW.toNested()[0][0], { limit: liveFigure.largest(dWValues) });
			toX.show(dxShare.slice(u * step, u * step + K).map((line) => line.slice(v * step, v * step + K)), { limit: largest });
			figure.say(`${title.textContent}. Its patch begins at row ${u * step}, column ${v * step}. ${check.element.textContent}`);
		} else {
			// A pixel of 1 among zeros: what each output makes of it is the weight between the two.
			const probe = padded.map((line, i) => line.map((_, j) => (i === u && j === v ? 1 : 0)));
			const between = layerOf(K, step, 0).forward(flat(probe)).toNested()[0][0];
			const reached = new Set(reaching.map(([r, s]) => `${r},${s}`));
			seen.show(between, { text: (value, r, s) => (reached.has(`${r},${s}`) ? number(value) : ""), frames: reaching.map(([r, s]) => [r, s, "lf-frame-2"]) });
			const terms = reaching.map(([r, s, i, j]) => `dy[${r}, ${s}] · W[${i}, ${j}]`);
			title.textContent = inside(u, v) ? `dx[${u - zeros}, ${v - zeros}] = ${shown(dx[u][v])}` : `A pixel of the padding: ${shown(dx[u][v])}, cropped from dx`;
			const numbers = reaching.map(([r, s]) => `${signed(upper[r][s])} · ${signed(between[r][s])}`);
			const last = (list) => (adds ? list : list.slice(0, 1));
			sum.replaceChildren(...(terms.length ? [`= `, ...written(last(terms)), "= ", ...written(last(numbers)), `= ${shown(dx[u][v])}`] : []));
			story.textContent = !terms.length ? "No window contains this pixel, so its gradient is 0."
				: (terms.length === 1 ? "One output uses this pixel. " : `${terms.length} outputs use this pixel. `) +
					(adds ? "" : terms.length > 1 ? "With = only the share that is written last stays. " : "") +
					(terms.length > 1 ? "Further right or down in dy, the weight is further left or up in W: seen from a pixel, the kernel is flipped." : "");
			figure.say(`${title.textContent}. ${story.textContent} ${check.element.textContent}`);
		}
	}
	redraw();
});
